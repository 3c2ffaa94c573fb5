"""The priors that the service would use, in this process on the CPU."""

from pathlib import Path

import torch

from priors.base import Prior
from priors.store import load_prior
from service.settings import Settings


def folder_of(name: str | None = None) -> Path:
    """Of a prior by name, or of the one that the service takes by default."""
    settings = Settings()
    name = name or settings.default_prior
    return settings.shelf.home(name) / name


def served(name: str | None = None) -> Prior:
    folder = folder_of(name)
    return load_prior(folder.parent, folder.name, torch.device("cpu"))
