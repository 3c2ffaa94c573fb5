"""Train a pixel-space diffusion prior: `python -m priors.training --data FOLDER --out RUN`.

EDM objective (Karras et al. 2022, section 5): levels ln sigma ~ N(noise_mean, noise_std^2), weight
(sigma^2 + sigma_data^2) / (sigma sigma_data)^2, so that the network's target has unit variance at every level. AdamW,
linear warm-up then cosine to zero, gradient clipping, exponential moving average of the weights.

A run folder holds `checkpoint.pt` (weights, average, optimiser, step), `loss.jsonl` and, at the end, `prior/` in the
layout that `priors.store` loads. Starting the same command again resumes at the last checkpoint.
"""

import argparse
import dataclasses
import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from priors.crops import Crops, photographs
from priors.network import PatchedUNet, build_unet, unet_config
from priors.parameterisation import TIME_MAPS, edm_preconditioning


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. The defaults trained the bundled prior on two CPU cores."""

    data: str
    """Folder of photographs, searched recursively."""
    out: str
    """Run folder, created if missing."""
    crops: int = 80_000
    """Length of the run, in crops of 64 px (a crop of 128 px counts as four)."""
    batch_pixels: int = 16 * 64 * 64
    """Pixels a step, whatever the crop size."""
    crop_sizes: tuple[int, ...] = (64, 64, 64, 128)
    """Drawn uniformly for each step. Mixed sizes, since GroupNorm makes the answer depend on the size of the frame."""
    min_scale: float = 0.4
    """Photographs are shrunk by a factor log-uniform in [min_scale, 1]."""
    widths: tuple[int, ...] = (64, 96, 128)
    layers: int = 2
    groups: int = 16
    unshuffle: int = 2
    sigma_data: float = 0.5
    sigma_min: float = 0.005
    sigma_max: float = 80.0
    time_map: str = "250*ln(sigma)"
    noise_mean: float = -1.3
    noise_std: float = 1.5
    learning_rate: float = 6e-4
    warmup_steps: int = 200
    clip_norm: float = 1.0
    ema_decay: float = 0.999
    seed: int = 0
    bfloat16: bool = True
    """Run the network under bfloat16 autocast; weights, loss and optimiser stay float32."""
    threads: int = 0
    """CPU threads; 0 leaves torch's choice."""
    checkpoint_every: int = 250
    """Steps between checkpoints."""
    holdout_every: int = 50
    """Every n-th photograph is kept out of the training for the validation loss."""
    licence: str = "unspecified"

    @property
    def steps(self) -> int:
        return math.ceil(self.crops * 64 * 64 / self.batch_pixels)

    def learning_rate_at(self, step: int) -> float:
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        progress = (step - self.warmup_steps) / max(1, self.steps - self.warmup_steps)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


class Training:
    """The state of one run: network, average, optimiser and the number of the next step."""

    def __init__(self, config: TrainingConfig, device: torch.device):
        from diffusers.training_utils import EMAModel

        torch.manual_seed(config.seed)
        self.config = config
        self.device = device
        self.unet_config = unet_config(3, config.unshuffle, config.widths, config.layers, config.groups)
        self.unet = build_unet(self.unet_config).to(device, memory_format=torch.channels_last)
        self.network = PatchedUNet(self.unet, config.unshuffle)
        self.average = EMAModel(self.unet.parameters(), decay=config.ema_decay, use_ema_warmup=True, power=3 / 4)
        self.average.to(device)
        self.optimiser = torch.optim.AdamW(self.unet.parameters(), config.learning_rate, weight_decay=0.0)
        self.step = 0
        paths = photographs(Path(config.data))
        if len(paths) < 2:
            raise SystemExit(f"{config.data}: no photographs found")
        held_out = paths[:: config.holdout_every]
        self.crops = Crops([p for p in paths if p not in set(held_out)], config.min_scale, config.seed)
        self.validation = Crops(held_out, config.min_scale, config.seed)

    def advance(self) -> float:
        """One optimiser step; returns its loss."""
        config = self.config
        rng = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        size = config.crop_sizes[int(torch.randint(len(config.crop_sizes), (), generator=rng))]
        clean = self.crops.batch(self.step, max(1, config.batch_pixels // size**2), size)
        loss = self._loss(clean, rng)
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.unet.parameters(), config.clip_norm)
        self.optimiser.step()
        self.average.step(self.unet.parameters())
        self.step += 1
        return float(loss.detach())

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Loss of the averaged weights on photographs kept out of the training, always the same crops and noise."""
        self.average.store(self.unet.parameters())
        self.average.copy_to(self.unet.parameters())
        rng = torch.Generator().manual_seed(12345)
        losses = [float(self._loss(self.validation.batch(i, 16, 64), rng)) for i in range(8)]
        self.average.restore(self.unet.parameters())
        return sum(losses) / len(losses)

    def _loss(self, clean: Tensor, rng: torch.Generator) -> Tensor:
        config = self.config
        log_sigma = config.noise_mean + config.noise_std * torch.randn(len(clean), generator=rng)
        sigma = log_sigma.exp().clamp(config.sigma_min, config.sigma_max).to(self.device)  # (N,)
        noise = torch.randn(clean.shape, generator=rng).to(self.device)
        clean = clean.to(self.device)
        noisy = clean + sigma.reshape(-1, 1, 1, 1) * noise
        c_skip, c_out, c_in = edm_preconditioning(sigma, config.sigma_data)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=config.bfloat16):
            output = self.network(c_in * noisy, TIME_MAPS[config.time_map](sigma))
        target = (clean - c_skip * noisy) / c_out  # unit variance at every level
        return (output.float() - target).square().mean()

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "unet": self.unet.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        torch.save(state, path.with_suffix(".tmp"))
        os.replace(path.with_suffix(".tmp"), path)  # a killed run leaves the previous checkpoint whole

    def load(self, path: Path) -> None:
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.unet.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def export(self, folder: Path) -> None:
        """Write the averaged weights as a prior: `config.json`, safetensors in float16, `prior.json`."""
        from priors.store import write_prior

        self.average.store(self.unet.parameters())
        self.average.copy_to(self.unet.parameters())
        config = self.config
        manifest = {
            "kind": "pixel",
            "parameterisation": "edm",
            "sigma_data": config.sigma_data,
            "sigma_min": config.sigma_min,
            "sigma_max": config.sigma_max,
            "time_map": config.time_map,
            "pixel_unshuffle": config.unshuffle,
            "trained_size": max(config.crop_sizes),
            "size_multiple": config.unshuffle * 2 ** (len(config.widths) - 1),
            "trained_crops": min(self.step, config.steps) * config.batch_pixels // 64**2,
            "symmetries": "dihedral",  # `Crops` mirrors and turns
            "licence": config.licence,
        }
        write_prior(folder, self.unet, manifest)
        self.average.restore(self.unet.parameters())


def train(config: TrainingConfig) -> Path:
    """Run (or resume) a training to its end; returns the folder of the exported prior."""
    if config.threads:
        torch.set_num_threads(config.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    (out / "training.json").write_text(json.dumps(dataclasses.asdict(config), indent=1) + "\n")
    training = Training(config, device)
    checkpoint = out / "checkpoint.pt"
    if checkpoint.exists():
        training.load(checkpoint)
        print(f"resumed at step {training.step} of {config.steps}", flush=True)
    with (out / "loss.jsonl").open("a") as log:
        started, first, recent = time.monotonic(), training.step, []
        while training.step < config.steps:
            recent.append(training.advance())
            if training.step % config.checkpoint_every and training.step != config.steps:
                continue
            training.save(checkpoint)
            seconds_a_step = (time.monotonic() - started) / (training.step - first)
            record: dict[str, Any] = {
                "step": training.step,
                "loss": round(sum(recent) / len(recent), 5),
                "validation_loss": round(training.validation_loss(), 5),
                "crops_per_s": round(config.batch_pixels / 64**2 / seconds_a_step, 1),
                "minutes_left": round((config.steps - training.step) * seconds_a_step / 60, 1),
            }
            recent.clear()
            log.write(json.dumps(record) + "\n")
            log.flush()
            print(record, flush=True)
    training.export(out / "prior")
    return out / "prior"


def parse_arguments(arguments: list[str] | None = None) -> TrainingConfig:
    """Every field of `TrainingConfig` is an option of the command line."""
    parser = argparse.ArgumentParser(prog="python -m priors.training", description=__doc__.split("\n")[0])
    for field in dataclasses.fields(TrainingConfig):
        option = "--" + field.name.replace("_", "-")
        if field.default is dataclasses.MISSING:
            parser.add_argument(option, required=True)
        elif isinstance(field.default, bool):
            parser.add_argument(option, action=argparse.BooleanOptionalAction, default=field.default)
        elif isinstance(field.default, tuple):
            parser.add_argument(option, type=int, nargs="+", default=field.default)
        else:
            parser.add_argument(option, type=type(field.default), default=field.default)
    values = vars(parser.parse_args(arguments))
    return TrainingConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


if __name__ == "__main__":
    print("prior written to", train(parse_arguments()))
