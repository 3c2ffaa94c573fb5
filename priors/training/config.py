"""What a training run is made of. Every field of `TrainingConfig` is an option of the command line."""

import dataclasses
import math
import random
from dataclasses import dataclass, field
from typing import Any

from priors.declaration import OWN_FIELD
from priors.manifest import SYMMETRIES
from priors.noise_map import UNSHUFFLE
from priors.precision import PRECISIONS

NETWORKS = ("unet", "noise-map")

POSITIVE = (
    *("crops", "layers", "groups", "sigma_data", "sigma_min", "noise_std", "learning_rate", "clip_norm"),
    *("checkpoint_every", "readers", "cache_gb"),
)


class TrainingError(Exception):
    """A run that cannot start, or go on, as it was asked to; the message names the option."""


def option(text: str, default: Any = dataclasses.MISSING) -> Any:
    """A field with its help."""
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainingConfig:
    """One training run. Raises TrainingError for values that make no run.

    A run may be resumed with other values of the fields in `FREE` alone.
    """

    data: str = option("folder of photographs, searched recursively")
    out: str = option("run folder, created if missing")
    crops: int = option("length of the run, in crops of 64 px (one of 128 px counts as four)", 80_000)
    batch_pixels: int = option("pixels a step, over all processes, whatever the size of the crops", 16 * 64 * 64)
    crop_sizes: tuple[int, ...] = option(
        "drawn uniformly, one for each step; mixed, since GroupNorm makes the answer depend on the size of the frame",
        (64, 64, 64, 96, 128, 160),
    )
    min_scale: float = option("photographs are shrunk by a factor log-uniform between this and 1", 0.4)
    symmetries: str = option("none, mirror (flips), or dihedral (and quarter turns): how crops are varied", "dihedral")
    network: str = option(
        f"{' or '.join(NETWORKS)}: a diffusion prior behind EDM preconditioning, or a bias-free denoiser that is told "
        "the noise level of every pixel",
        "unet",
    )
    widths: tuple[int, ...] = option("channels of each level of the network", (64, 96, 128))
    layers: int = option("residual blocks a level", 2)
    groups: int = option("of the group normalisation", 16)
    unshuffle: int = option("side of the patches that become channels before the network; 1 for a plain network", 2)
    sigma_data: float = option("standard deviation of the photographs on [-1, 1]", 0.5)
    sigma_min: float = option("lowest noise level, on [-1, 1]", 0.005)
    sigma_max: float = option("highest noise level", 80.0)
    time_map: str = option(f"how the network is told the level: {' or '.join(OWN_FIELD['edm'])}", "250*ln(sigma)")
    noise_mean: float = option("of ln sigma in training", -1.3)
    noise_std: float = option("standard deviation of ln sigma in training", 1.5)
    start_from: str = option("prior whose weights the run begins with: its folder, or the name of a bundled one", "")
    learning_rate: float = option("of AdamW, between warm-up and cool-down", 6e-4)
    warmup_steps: int = option("steps over which the rate rises to it", 200)
    cooldown: float = option("share of the run, at its end, over which the rate falls to zero", 0.25)
    clip_norm: float = option("the gradient is shortened to this length", 1.0)
    ema_decay: float = option("a step, of the exponential moving average that becomes the prior", 0.999)
    seed: int = option("of the first weights, the crops and the noise", 0)
    precision: str = option(
        "float32, or bfloat16 for the network's arithmetic alone; auto: bfloat16 where the device is faster in it",
        "auto",
    )
    device: str = option("cpu, cuda, mps; auto: cuda if there is one", "auto")
    compile: bool = option("compile the network (CUDA only)", False)
    threads: int = option("of the CPU; 0 leaves torch's choice", 0)
    readers: int = option("threads that cut the crops of the next steps", 2)
    cache_gb: float = option("of decoded photographs that are held in memory, a process", 4.0)
    checkpoint_every: int = option("steps between checkpoints", 250)
    holdout_every: int = option("every n-th photograph is kept out of the training, for the validation", 50)
    licence: str = option("of the weights; begin with 'research only:' where the photographs demand it", "unspecified")

    def __post_init__(self) -> None:
        for name, (holds, rule) in self._rules().items():
            if not holds:
                raise TrainingError(f"--{name.replace('_', '-')} {getattr(self, name)} must be {rule}")

    def _rules(self) -> dict[str, tuple[bool, str]]:
        sizes, widths = self.crop_sizes, self.widths
        return {
            **{name: (0 < getattr(self, name) < math.inf, "greater than 0") for name in POSITIVE},
            "network": (self.network in NETWORKS, f"one of {', '.join(NETWORKS)}"),
            "unshuffle": (
                self.unshuffle > 0 and (self.network == "unet" or self.unshuffle == UNSHUFFLE),
                f"greater than 0, and {UNSHUFFLE} for a noise-map network",
            ),
            "widths": (
                bool(widths) and self.groups > 0 and all(w > 0 and w % self.groups == 0 for w in widths),
                f"multiples of --groups, {self.groups}",
            ),
            "crop_sizes": (
                bool(sizes and widths) and self.unshuffle > 0 and all(s > 0 == s % self.size_multiple for s in sizes),
                "multiples of unshuffle * 2^(levels - 1)",
            ),
            "batch_pixels": (self.batch_pixels >= max(sizes, default=0) ** 2, "enough for a crop of every size"),
            "min_scale": (0 < self.min_scale <= 1, "in (0, 1]"),
            "symmetries": (self.symmetries in SYMMETRIES, f"one of {', '.join(SYMMETRIES)}"),
            "sigma_max": (self.sigma_min < self.sigma_max < math.inf, "greater than --sigma-min"),
            "noise_mean": (math.isfinite(self.noise_mean), "finite"),
            "time_map": (self.time_map in OWN_FIELD["edm"], f"one of {', '.join(OWN_FIELD['edm'])}"),
            "warmup_steps": (self.warmup_steps >= 0, "at least 0"),
            "cooldown": (0 <= self.cooldown <= 1, "in [0, 1]"),
            "ema_decay": (0 <= self.ema_decay < 1, "in [0, 1)"),
            "precision": (self.precision in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
            "threads": (self.threads >= 0, "at least 0"),
            "holdout_every": (self.holdout_every >= 2, "at least 2"),
        }

    @property
    def steps(self) -> int:
        return math.ceil(self.crops * 64 * 64 / self.batch_pixels)

    @property
    def size_multiple(self) -> int:
        """The sides that the network takes are multiples of this."""
        return self.unshuffle * 2 ** (len(self.widths) - 1)

    def crop_size_at(self, step: int) -> int:
        return random.Random(f"{self.seed}:{step}:size").choice(self.crop_sizes)

    def batch_at(self, step: int) -> int:
        """Number of crops in a step, over all processes."""
        return self.batch_pixels // self.crop_size_at(step) ** 2

    def learning_rate_at(self, step: int) -> float:
        """Warm-up, constant, cool-down as 1 - sqrt (Haegele et al. 2024, "Scaling laws and compute-optimal training
        beyond fixed training durations"): a run may be made longer or shorter as long as it has not cooled down."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps
        left = (self.steps - step) / max(1.0, self.cooldown * self.steps)
        return self.learning_rate * (1.0 if left >= 1 else 1 - math.sqrt(1 - max(0.0, left)))


FREE = {
    "data",  # compared by its photographs: see `priors.training.data`
    "out",
    "crops",
    "cooldown",
    "precision",
    "device",
    "compile",
    "threads",
    "readers",
    "cache_gb",
    "checkpoint_every",
    "licence",
}
"""What a resumed run may change. Only the first step of the cool-down, rounding, speed and words depend on these."""
