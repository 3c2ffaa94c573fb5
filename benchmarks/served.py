"""The priors that the service would use, in this process on the CPU, computing in what the service would.

`REDIFFUSE_PRECISION=float32` is heard here, too."""

from pathlib import Path

import torch

from priors.base import Prior
from priors.precision import network_dtype
from priors.store import load_prior
from service.settings import Settings
from solvers.noise_weights import Reading, read_reading

CPU = torch.device("cpu")


def folder_of(name: str | None = None) -> Path:
    """Of a prior by name, or of the one that the service takes by default."""
    settings = Settings()
    name = name or settings.default_prior
    return settings.shelf.home(name) / name


def served(name: str | None = None) -> Prior:
    folder = folder_of(name)
    return load_prior(folder.parent, folder.name, CPU, served_dtype())


def reading_of(prior: Prior) -> Reading | None:
    """How a prior of the service shows the noise."""
    return read_reading(folder_of(prior.info.name), prior.info.digest)


def served_dtype() -> torch.dtype:
    return network_dtype(Settings().precision, CPU)
