"""The blind noise level on pictures whose noise is known."""

import pytest
import torch
from torch import Tensor

from solvers.noise_level import estimate_sigma, haar


def picture(height: int, width: int, seed: int = 0) -> Tensor:
    """Overlapping flat, shaded and striped discs: edges, gradients and texture like a photograph's. (1, 3, H, W)."""
    rng = torch.Generator().manual_seed(seed)
    v = torch.arange(height)[:, None].float()
    u = torch.arange(width)[None, :].float()
    x = torch.zeros(1, 3, height, width)
    for i in range(40):
        cv, cu, size, slope, frequency = torch.rand(5, generator=rng).tolist()
        radius = 2 + 0.35 * size**2 * min(height, width)
        inside = (v - cv * height) ** 2 + (u - cu * width) ** 2 < radius**2
        colour = 1.4 * torch.rand(3, 1, 1, generator=rng) - 0.7
        shade = 0.2 * (slope - 0.5) * (u - cu * width) / radius
        stripes = 0.1 * torch.sin(frequency * (u + v)) if i % 4 == 0 else torch.zeros_like(u)
        x = torch.where(inside, (colour + shade + stripes)[None], x)
    return x


def quantised(x: Tensor) -> Tensor:
    """Through 8 bits, clipped to the range of a file."""
    return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


@pytest.mark.parametrize("level", [2, 5, 15, 25, 50])
@pytest.mark.parametrize("size", [(128, 160), (61, 333)])
def test_within_fifteen_percent_of_the_truth(level, size):
    sigma = 2 * level / 255
    rng = torch.Generator().manual_seed(level)
    clean = picture(*size, seed=level)
    noisy = quantised(clean + sigma * torch.randn(clean.shape, generator=rng))
    assert estimate_sigma(noisy) == pytest.approx(sigma, rel=0.15)


def test_a_clean_picture_has_next_to_no_noise():
    assert estimate_sigma(quantised(picture(128, 128))) < 2 * 1.0 / 255


@pytest.mark.parametrize("value", [-1.0, 0.2, 1.0])
def test_a_flat_picture_has_none(value):
    assert estimate_sigma(torch.full((1, 3, 40, 30), value)) == 0


@pytest.mark.parametrize("channels", [1, 3])
def test_sixteen_pixels_are_enough_for_a_rough_answer(channels):
    rng = torch.Generator().manual_seed(4)
    estimates = [estimate_sigma(0.2 * torch.randn(1, channels, 16, 16, generator=rng)) for _ in range(20)]
    assert all(0.12 < estimate < 0.28 for estimate in estimates)
    assert sum(estimates) / 20 == pytest.approx(0.2, rel=0.05)


@pytest.mark.parametrize("size", [(2, 2), (3, 5), (2, 40)])
def test_the_smallest_pictures_give_a_finite_number(size):
    assert 0 <= estimate_sigma(torch.rand(1, 3, *size)) < 2


def test_saturated_regions_are_not_read():
    """Two thirds of the picture are blown out: their noise is clipped away, and they are the flattest blocks."""
    rng = torch.Generator().manual_seed(1)
    clean = picture(120, 120)
    clean[..., :80] = 1.2
    noisy = (clean + 0.1 * torch.randn(clean.shape, generator=rng)).clamp(-1, 1)
    assert estimate_sigma(noisy) == pytest.approx(0.1, rel=0.15)


def test_scales_with_the_picture():
    x = 0.3 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    assert estimate_sigma(0.5 * x.clamp(-0.9, 0.9)) == pytest.approx(0.5 * estimate_sigma(x.clamp(-0.9, 0.9)), rel=1e-5)


def test_the_haar_bands_keep_the_energy():
    x = torch.rand(2, 3, 6, 8, dtype=torch.float64)
    assert torch.allclose(sum(band.square().sum() for band in haar(x)), x.square().sum(), rtol=1e-12)
    assert all(torch.equal(a, b) for a, b in zip(haar(x[..., :7]), haar(x[..., :6]), strict=True))


def shaded(height: int, width: int, sigma: float, seed: int = 0) -> torch.Tensor:
    ramp = torch.linspace(-0.6, 0.6, width).expand(1, 3, height, width)
    return ramp + sigma * torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_what_may_not_be_read_changes_nothing() -> None:
    observed = torch.ones(96, 128, dtype=torch.bool)
    observed[:, :64] = False
    painted = shaded(96, 128, 0.2)
    painted[..., :64] = 0.3  # a flat hole, that would read as no noise at all
    assert estimate_sigma(painted, observed) == pytest.approx(0.2, rel=0.15)
    other = painted.clone()
    other[..., :64] = torch.rand(1, 3, 96, 64)
    assert estimate_sigma(other, observed) == estimate_sigma(painted, observed)


@pytest.mark.parametrize("fraction", [0.2, 0.5])
def test_scattered_holes_leave_enough_to_read(fraction: float) -> None:
    observed = torch.rand(256, 256, generator=torch.Generator().manual_seed(1)) >= fraction
    assert estimate_sigma(shaded(256, 256, 0.2) * observed, observed) == pytest.approx(0.2, rel=0.15)


def test_nothing_to_read_is_no_noise() -> None:
    assert estimate_sigma(shaded(32, 32, 0.2), torch.zeros(32, 32, dtype=torch.bool)) == 0
