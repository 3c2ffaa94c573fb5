"""The level of noise in weak texture (algorithms.md 4.7)."""

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from solvers.weak_texture import fitted, plane_variance, tau0, weak_texture_sigma


def white(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def test_the_threshold_is_the_known_quantile():
    assert tau0() == pytest.approx(81.82, abs=0.005)


def test_white_noise_in_one_plane():
    """Of 128 pixels a side, as in a picture of 512."""
    assert 9 < 255 * plane_variance(0.5 + 10 / 255 * white(128, 128)) ** 0.5 < 10.5
    ramp = torch.linspace(0.2, 0.8, 128).expand(128, 128)
    assert 9 < 255 * plane_variance(ramp + 10 / 255 * white(128, 128)) ** 0.5 < 10.5


def test_texture_is_left_out():
    """Strong stripes over half of a plane; all patches together have two times the noise and more."""
    plane = 0.5 + 10 / 255 * white(128, 128)
    plane[:, 64:] += 0.3 * white(1, 64, seed=1)
    assert 255 * plane_variance(plane) ** 0.5 == pytest.approx(9.3, abs=0.7)


def test_noise_that_grows_with_the_brightness():
    level = 0.05 * torch.linspace(0.1, 0.9, 128).expand(128, 128).sqrt()
    plane = torch.linspace(0.1, 0.9, 128).expand(128, 128) + level * white(128, 128)
    assert plane_variance(plane) ** 0.5 == pytest.approx(float(level.square().mean().sqrt()), rel=0.12)


@pytest.mark.parametrize(("signal", "white_part", "gamma"), [(4e-4, 1e-4, 0.75), (0.0, 1e-4, 0.5), (4e-4, 0.0, 0.5)])
def test_the_curve_is_that_of_the_squares(signal, white_part, gamma):
    def curve(x: Tensor) -> Tensor:
        return signal * x ** (2 * gamma) + white_part

    x = torch.rand(40_000, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    squares = curve(x) * white(40_000).double().square()
    at = torch.tensor([0.1, 0.3, 0.5, 0.9], dtype=torch.float64)
    assert torch.allclose(fitted(x, squares, at), curve(at), rtol=0.1)


def test_a_picture_is_read_at_every_fourth_pixel():
    """Where white noise goes by unseen, and neighbours that are alike are not."""
    noise = 10 / 255 * white(1, 1, 40, 40).repeat_interleave(4, 2).repeat_interleave(4, 3)
    image = 0.5 + noise + torch.zeros(1, 1, 160, 160)
    level = plane_variance(image[0, 0, ::4, ::4]) ** 0.5
    assert weak_texture_sigma(2 * image - 1) == pytest.approx(2 * level, rel=1e-4)


def test_the_curve_begins_at_black():
    """Noise in proportion to the light, all of it below the middle of the scale."""
    light = torch.linspace(0.02, 0.48, 512).expand(1, 1, 512, 512)
    noisy = light + 0.2 * light * white(1, 1, 512, 512)
    planes = torch.nn.functional.pixel_unshuffle(noisy, 4)[0]
    level = (sum(plane_variance(plane) for plane in planes) / 16) ** 0.5
    assert weak_texture_sigma(2 * noisy - 1) == pytest.approx(2 * level, rel=1e-4)


def test_a_large_plane_is_read_evenly():
    """As many patches as of a picture of 512 pixels, from all of it, however large."""
    plane = 0.5 + 10 / 255 * white(500, 700)
    plane[:, :350] += 10 / 255 * white(500, 350, seed=1)
    with FlopCounterMode(display=False) as flops:
        level = 255 * plane_variance(plane) ** 0.5
    assert level == pytest.approx(10 * 1.5**0.5, rel=0.12)
    with FlopCounterMode(display=False) as of_128:
        plane_variance(plane[:128, :128])
    assert flops.get_total_flops() < 1.5 * of_128.get_total_flops()


def test_odd_sizes_are_cut():
    image = 0.5 + 10 / 255 * white(1, 1, 163, 161)
    assert weak_texture_sigma(image) == weak_texture_sigma(image[..., :160, :160])


def test_there_is_nothing_where_there_is_no_noise():
    assert plane_variance(torch.full((40, 40), 0.5)) < 1e-20


@pytest.mark.parametrize("size", [(12, 200), (100, 100)])
def test_small_pictures_tell_nothing(size):
    assert weak_texture_sigma(white(1, 3, *size)) is None
