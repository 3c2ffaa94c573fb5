"""The state of a run between two steps: network, average, optimiser and the number of the next step."""

import contextlib
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from priors.precision import network_dtype
from priors.store import write_prior
from priors.training.config import TrainingConfig, TrainingError
from priors.training.data import Data
from priors.training.feed import Feed
from priors.training.objective import OBJECTIVES, Objective
from priors.training.processes import Processes
from priors.training.start import start_from


class Training:
    """AdamW on an objective, clipped gradients, exponential moving average of the weights.

    A step is a function of the state, the configuration and the photographs alone.
    """

    def __init__(self, config: TrainingConfig, data: Data, processes: Processes, checkpoint: Path | None = None):
        """checkpoint: where the run goes on; without one it begins."""
        from diffusers.training_utils import EMAModel

        torch.manual_seed(config.seed)
        self.config, self.data, self.processes = config, data, processes
        self.objective: Objective = OBJECTIVES[config.network](
            config, network_dtype(config.precision, processes.device)
        )
        self.weights, self.network = self.objective.build()
        self.source = start_from(self.objective, self.weights) if config.start_from and not checkpoint else ""
        self.weights.to(processes.device, memory_format=torch.channels_last)
        self.trained = torch.compile(self.network) if config.compile else self.network
        self.average = EMAModel(self.weights.parameters(), decay=config.ema_decay, use_ema_warmup=True, power=3 / 4)
        self.average.to(processes.device)
        self.optimiser = torch.optim.AdamW(self.weights.parameters(), config.learning_rate, weight_decay=0.0)
        self.feed = Feed(self._crops, config.readers)
        self.step = 0
        if checkpoint:
            self.load(checkpoint)

    def advance(self) -> float:
        """One optimiser step; returns its loss, the mean over the crops of all processes.

        Raises TrainingError, before it touches the weights, for a gradient that is not finite."""
        config, processes = self.config, self.processes
        clean = self.feed[self.step].to(processes.device, memory_format=torch.channels_last)
        losses = self.objective.losses(self.trained, clean, *self._noise())
        # the mean over all processes of this is the mean over all crops, also where the shares are not of one size
        loss = losses.sum() * (processes.count / config.batch_at(self.step))
        for group in self.optimiser.param_groups:
            group["lr"] = config.learning_rate_at(self.step)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        processes.average_gradients(self.weights)
        if not nn.utils.clip_grad_norm_(self.weights.parameters(), config.clip_norm).isfinite():
            raise TrainingError(f"the gradient of step {self.step} is not finite: try a lower --learning-rate")
        self.optimiser.step()
        self.average.step(self.weights.parameters())
        self.step += 1
        return processes.mean(loss.detach())

    def _crops(self, step: int) -> Tensor:
        """The crops of this process, (N, 3, size, size)."""
        rows = self.processes.rows(self.config.batch_at(step))
        return self.data.learnt.batch(step, rows, self.config.crop_size_at(step))

    def _noise(self) -> tuple[Tensor, Tensor]:
        """Draws (N, ..) and white noise (N, 3, size, size) of this process, out of those of all."""
        config, step, device = self.config, self.step, self.processes.device
        count, size = config.batch_at(step), config.crop_size_at(step)
        rng = torch.Generator(device).manual_seed(config.seed * 1_000_003 + step)
        draws = torch.randn(count, self.objective.draws, generator=rng, device=device)
        noise = torch.randn(count, 3, size, size, generator=rng, device=device)
        rows = list(self.processes.rows(count))
        return draws[rows], noise[rows]

    @contextlib.contextmanager
    def averaged(self) -> Iterator[nn.Module]:
        """The network with its averaged weights; the training goes on with its own afterwards."""
        self.average.store(self.weights.parameters())
        self.average.copy_to(self.weights.parameters())
        try:
            yield self.network
        finally:
            self.average.restore(self.weights.parameters())

    def save(self, path: Path) -> None:
        state = {
            "step": self.step,
            "unet": self.weights.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "photographs": self.data.digest,
            "source": self.source,
        }
        draft = path.with_suffix(".tmp")
        with draft.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)  # a killed run leaves the previous checkpoint whole

    def load(self, path: Path) -> None:
        """Go on where `save` was called. Raises TrainingError for a damaged file and for other photographs."""
        try:
            state = torch.load(path, map_location=self.processes.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise TrainingError(f"{path} cannot be read: {error}") from error
        if state.get("photographs", self.data.digest) != self.data.digest:  # an older version did not note them
            raise TrainingError(
                f"--data {self.config.data} has not the photographs of this run any more. Put them back, or begin "
                f"another run with --start-from {path.parent / 'prior'}"
            )
        self.weights.load_state_dict(state["unet"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.source = state["step"], state.get("source", "")

    def export(self, folder: Path) -> None:
        """Write the averaged weights as a prior: `config.json`, safetensors in float16, `prior.json`.

        A prior that lies there is replaced file by file, its evaluations stay."""
        config = self.config
        manifest = {
            "kind": "pixel",
            **self.objective.declared,
            "sigma_min": config.sigma_min,
            "sigma_max": config.sigma_max,
            "trained_size": max(config.crop_sizes),
            "size_multiple": config.size_multiple,
            "trained_crops": self.step * config.batch_pixels // 64**2,
            "symmetries": config.symmetries,
            "licence": config.licence,
            **({"source": self.source} if self.source else {}),
        }
        draft = folder.with_name(folder.name + ".tmp")
        with self.averaged():
            write_prior(draft, self.weights, manifest)
        folder.mkdir(exist_ok=True)
        for path in sorted(draft.iterdir()):  # the manifest, which has the digest of the weights, comes last
            os.replace(path, folder / path.name)
        draft.rmdir()
