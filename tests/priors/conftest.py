"""A small but complete prior on disk, made by the project's own writer; the bundled priors; pictures for them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from priors.analytic import DenseGaussianPrior
from priors.base import Prior
from priors.network import build_unet, unet_config
from priors.shelf import Shelf
from priors.store import load_prior, write_prior

BUNDLED = Path(__file__).parents[2] / "priors" / "bundled"

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


@pytest.fixture(scope="session")
def bundled() -> list[Prior]:
    """Every prior that comes with this checkout."""
    names = [info.name for info in Shelf(BUNDLED).manifests()]
    if not names:
        pytest.skip("no prior is bundled in this checkout")
    return [load_prior(BUNDLED, name, torch.device("cpu")) for name in names]


@pytest.fixture(scope="session")
def dead_leaves() -> Callable[[int, int], Tensor]:
    """`dead_leaves(size, seed)` draws a picture."""
    return _dead_leaves


def _dead_leaves(size: int, seed: int) -> Tensor:
    """A picture with the statistics of photographs: textured discs that hide one another. (1, 3, size, size)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size)[None])
    frequency[0, 0] = 1
    rows, columns = np.mgrid[:size, :size]
    image = np.zeros((size, size, 3))
    for _ in range(300):
        inside = np.hypot(rows - rng.integers(size), columns - rng.integers(size)) < 3 / (rng.random() + 0.03)
        texture = np.fft.ifft2(np.fft.fft2(rng.standard_normal((size, size))) / frequency).real
        image[inside] = (rng.uniform(-0.8, 0.8, 3) + 0.12 * texture[..., None] / texture.std())[inside]
    return torch.from_numpy(image.clip(-1, 1)).permute(2, 0, 1)[None].float()


@pytest.fixture(scope="module")
def gaussian() -> DenseGaussianPrior:
    generator = torch.Generator().manual_seed(2)
    factor = torch.randn(12, 12, generator=generator, dtype=torch.float64) / 4
    covariance = factor @ factor.T + 0.02 * torch.eye(12, dtype=torch.float64)
    return DenseGaussianPrior(torch.randn(12, generator=generator, dtype=torch.float64) / 2, covariance)
