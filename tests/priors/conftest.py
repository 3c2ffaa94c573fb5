"""A small but complete prior on disk, made by the project's own writer."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from priors.network import build_unet, unet_config
from priors.store import write_prior

MANIFEST: dict[str, Any] = {
    "kind": "pixel",
    "parameterisation": "edm",
    "sigma_data": 0.5,
    "sigma_min": 0.005,
    "sigma_max": 80.0,
    "time_map": "250*ln(sigma)",
    "pixel_unshuffle": 2,
    "trained_size": 64,
    "size_multiple": 4,
    "licence": "public domain",
}


def random_unet(seed: int = 0) -> nn.Module:
    """Two levels of 8 and 16 channels; every parameter random, so that no zero hides an error."""
    unet = build_unet(unet_config(3, 2, (8, 16), layers=1, groups=4))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return unet.eval()


@pytest.fixture(scope="session")
def unet() -> nn.Module:
    return random_unet()


@pytest.fixture
def models(tmp_path: Path, unet: nn.Module) -> Path:
    """A models folder with one prior, `tiny`."""
    write_prior(tmp_path / "models" / "tiny", unet, MANIFEST)
    return tmp_path / "models"
