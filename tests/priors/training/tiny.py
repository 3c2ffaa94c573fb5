"""A training of six steps."""

from pathlib import Path
from typing import Any

import torch

from priors.training.config import TrainingConfig
from priors.training.data import gather
from priors.training.processes import Processes
from priors.training.state import Training

CPU = torch.device("cpu")
TINY: dict[str, Any] = {
    "crops": 3,
    "batch_pixels": 2 * 32 * 32,
    "crop_sizes": (16, 32),
    "widths": (8, 16),
    "layers": 1,
    "groups": 4,
    "learning_rate": 4e-3,
    "warmup_steps": 2,
    "precision": "float32",
    "device": "cpu",
    "checkpoint_every": 3,
    "holdout_every": 4,
    "licence": "public domain",
}


def tiny(pictures: Path, out: Path, **changes: Any) -> TrainingConfig:
    return TrainingConfig(data=str(pictures), out=str(out), **TINY | changes)


def options(pictures: Path, out: Path, **changes: Any) -> list[str]:
    """The command line of the same run."""
    words = ["--data", str(pictures), "--out", str(out)]
    for name, value in (TINY | changes).items():
        words += ["--" + name.replace("_", "-"), *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return words


def training_of(config: TrainingConfig) -> Training:
    return Training(config, gather(config), Processes(CPU))
