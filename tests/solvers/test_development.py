"""Light with noise behind a curve, whose moments are known."""

import pytest
import torch
from torch import Tensor

from solvers.development import COARSE, brightened, coarse, lift
from solvers.noise import NoiseStream
from tests.solvers.test_camera_noise import noise

GAMMA = 2.2


def developed(light: Tensor) -> Tensor:
    """Light on [0, 1] to a picture on [-1, 1]."""
    return 2 * light.clamp(min=0).pow(1 / GAMMA) - 1


def slopes(height: int = 256, width: int = 384) -> Tensor:
    """Light from dark to bright, a shade more of it in every channel."""
    rising = torch.linspace(0.2, 0.9, width).expand(1, 3, height, width)
    return rising * torch.tensor([0.8, 0.9, 1.0])[:, None, None]


def test_a_mean_that_a_parabola_has_moved_is_found():
    """a + n - 0.4 n^2 has the mean a - 0.4 s^2 and, with the variance s^2 (1 + ..), the third cumulant -2.4 s^4."""
    n = 0.1 * NoiseStream(0).normal(0, torch.empty(1, 1024, 1024))
    light = torch.zeros_like(n)
    found = lift(light, light + n - 0.4 * n.square())
    assert float(found.mean()) == pytest.approx(0.004, rel=0.03)


@pytest.mark.parametrize("correlated", [1, 3])
def test_the_light_behind_a_gamma_is_found(correlated):
    light, level = slopes(), 0.05
    noisy = developed(light + level * noise(256, 384, correlated, seed=1))
    curvature = 2 * (1 / GAMMA) * (1 / GAMMA - 1) * light.pow(1 / GAMMA - 2)  # f''
    darkened = developed(light) + curvature * level**2 / 2
    before, after = (each - developed(light) for each in (darkened, brightened(darkened, noisy)))
    assert float(before[..., :64].mean()) < -0.005  # 0.6 of 255
    assert float(after.square().mean()) < 0.3 * float(before.square().mean())


def test_noise_that_is_not_skewed_leaves_the_picture():
    picture = developed(slopes())
    measured = picture + 0.2 * noise(256, 384, 3, seed=2)
    assert float((brightened(picture, measured) - picture).abs().max()) < 0.06 * 0.2  # its local mean


def test_black_that_cuts_noise_off_darkens_nothing():
    """Its mean is lifted, which the skewness does not tell to any order."""
    measured = (0.05 + 0.2 * noise(256, 256, 1, seed=3)).clamp(min=0)
    restored = measured.mean().expand_as(measured)
    assert (lift(restored[:, 0], measured[:, 0]) == 0).all()


def test_what_is_coarse_in_the_measurement_stays():
    picture = developed(slopes(2 * COARSE, 3 * COARSE))
    restored = brightened(picture - torch.tensor([0.1, 0.0, -0.05])[:, None, None], picture)
    assert torch.allclose(restored, picture, atol=1e-4)
    assert torch.equal(coarse(torch.zeros_like(picture)), torch.zeros_like(picture))


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 5, 7), (1, 1, 16, 300), (2, 3, 40, 40)])
def test_any_size_and_a_picture_without_noise(shape):
    flat = torch.full(shape, 0.3)
    assert torch.equal(brightened(flat, flat), flat)
    random = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    assert brightened(random, 1 - random).isfinite().all()
