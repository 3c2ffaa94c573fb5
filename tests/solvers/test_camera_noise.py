"""The level and the correlation of noise that was made to measure."""

import time

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from solvers.camera_noise import LONGEST, estimate_camera_noise
from solvers.noise_level import estimate_sigma
from solvers.noise_reading import CLEAN_EVIDENCE
from tests.solvers.test_noise_level import picture, quantised

BINOMIAL = {1: [1.0], 3: [0.25, 0.5, 0.25], 5: [0.0625, 0.25, 0.375, 0.25, 0.0625]}
"""White noise through such a filter, both ways: by the length of the filter."""


def noise(height: int, width: int, length: int, seed: int) -> Tensor:
    """(1, 3, H, W), standard deviation 1, correlated over `length` pixels."""
    rng = torch.Generator().manual_seed(seed)
    kernel = torch.tensor(BINOMIAL[length])
    white = torch.randn(3, 1, height + length - 1, width + length - 1, generator=rng)
    filtered = functional.conv2d(white, torch.outer(kernel, kernel)[None, None]) / kernel.square().sum()
    return filtered.transpose(0, 1)


def true_b8(length: int) -> float:
    """64 Var(mean of 8) / Var from the filter itself."""
    kernel = torch.tensor(BINOMIAL[length])
    mean = functional.conv1d(kernel[None, None], torch.full((1, 1, 8), 1 / 8), padding=7)
    return 64 * float(mean.square().sum() / kernel.square().sum()) ** 2


def true_neighbour(length: int) -> float:
    kernel = torch.tensor(BINOMIAL[length])
    return float((kernel[1:] * kernel[:-1]).sum() / kernel.square().sum())


@pytest.mark.parametrize("length", BINOMIAL)
@pytest.mark.parametrize("level", [5, 15, 40])
def test_level_and_correlation_of_a_picture_with_noise(level, length):
    clean = picture(192, 192, seed=level)
    noisy = quantised(0.6 * clean + 2 * level / 255 * noise(192, 192, length, level))
    found = estimate_camera_noise(noisy)
    assert found.sigma == pytest.approx(2 * level / 255, rel=0.2)
    assert found.b8 == pytest.approx(true_b8(length), rel=0.35)
    assert found.neighbour == pytest.approx(true_neighbour(length), abs=0.12)


def test_differences_of_neighbours_would_have_told_half_of_it():
    """Why this module is there beside `noise_level`."""
    noisy = 0.6 * picture(192, 192) + 0.2 * noise(192, 192, 5, 0)
    assert estimate_sigma(noisy) < 0.1
    assert estimate_camera_noise(noisy).sigma == pytest.approx(0.2, rel=0.2)


@pytest.mark.parametrize(("length", "tolerance"), [(1, 0.05), (3, 0.05), (5, 0.15)])
def test_the_level_of_noise_alone_is_found_closely(length, tolerance):
    """Noise that is smooth over half a block is uneven by chance, and a little of it is taken for texture."""
    found = estimate_camera_noise(0.1 * noise(256, 256, length, 3))
    assert found.sigma == pytest.approx(0.1, rel=tolerance)
    assert found.b8 == pytest.approx(true_b8(length), rel=0.3)
    fine = 0.1 * (1 - true_neighbour(length))
    assert found.fine == pytest.approx(fine, rel=0.15)


def test_noise_that_grows_with_the_brightness_is_averaged_over_it():
    """The flattest blocks are of all brightnesses, not only of the quietest."""
    clean = 0.8 * torch.linspace(-1, 1, 256).expand(1, 3, 256, 256)
    deviation = 0.05 + 0.05 * (clean + 1)
    found = estimate_camera_noise(clean + deviation * noise(256, 256, 3, 1))
    assert found.sigma == pytest.approx(float(deviation.square().mean().sqrt()), rel=0.1)
    assert found.b8 == pytest.approx(true_b8(3), rel=0.25)


def test_texture_at_one_brightness_is_not_taken_for_noise():
    """Dark stripes all over the upper eighth, noise everywhere."""
    stripes = 0.15 * torch.sin(1.1 * torch.arange(256.0)).expand(1, 3, 256, 256)
    clean = 0.2 * torch.linspace(-1, 1, 256)[:, None].expand(1, 3, 256, 256).clone()
    clean[..., :32, :] += stripes[..., :32, :] - 0.4
    assert estimate_camera_noise(clean + 0.04 * noise(256, 256, 3, 2)).sigma == pytest.approx(0.04, rel=0.2)


def texture(height: int, width: int, seed: int) -> Tensor:
    """(1, 3, H, W), grey, as strong as noise of 8 of 255, here more and there less."""
    v, u = torch.arange(height)[:, None], torch.arange(width)
    strength = 0.06 + 0.05 * torch.sin(v / 5) * torch.sin(u / 7)
    return (strength * noise(height, width, 5, seed)[:, :1]).expand(1, 3, height, width)


@pytest.mark.parametrize("side", [96, 192])
def test_texture_everywhere_is_told_from_noise(side):
    """Both leave no block flat. Texture has no colour and is uneven; what is found is less, and not believed."""
    clean = 0.6 * picture(side, side)
    textured = estimate_camera_noise(quantised(clean + texture(side, side, 1)))
    assert textured.evidence < 0.5 * CLEAN_EVIDENCE
    assert textured.sigma < 0.6 * 0.06
    noisy = estimate_camera_noise(quantised(clean + 0.04 * noise(side, side, 5, 1)))
    assert noisy.evidence > 2 * CLEAN_EVIDENCE


def test_strong_grey_texture_everywhere_raises_the_level_of_weak_noise_only_so_far():
    grey = 0.15 * torch.randn(1, 1, 96, 96, generator=torch.Generator().manual_seed(5))
    found = estimate_camera_noise(quantised(grey + 0.02 * noise(96, 96, 3, 2)))
    assert found.sigma < 4 * 0.02


def test_where_the_colours_bound_the_level_it_is_said_by_how_much():
    """It may be noise whose colours were cleaned."""
    clean, shared = 0.6 * picture(192, 192), 0.1 * noise(192, 192, 5, 3)[:, :1]
    found = estimate_camera_noise(quantised(clean + shared))
    assert found.sigma < 0.5 * 0.1
    assert found.excess > 0.5
    assert found.unbounded.sigma == pytest.approx(0.1, rel=0.2)
    assert found.unbounded.fine / found.unbounded.sigma == pytest.approx(found.fine / found.sigma)
    assert found.unbounded.unbounded == found.unbounded
    assert estimate_camera_noise(quantised(clean + 0.1 * noise(192, 192, 5, 3))).excess == 0


def test_grey_texture_does_not_hide_noise():
    clean = 0.6 * picture(192, 192) + 0.3 * texture(192, 192, 1)
    noisy = estimate_camera_noise(quantised(clean + 0.06 * noise(192, 192, 5, 2)))
    assert noisy.evidence > 2 * CLEAN_EVIDENCE
    assert noisy.sigma == pytest.approx(0.06, rel=0.25)


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_of_a_grey_picture_is_noise_though_it_has_no_colour(channels):
    grey = (0.6 * picture(128, 128) + 0.07 * noise(128, 128, 5, 1))[:, :1].expand(1, channels, 128, 128)
    assert estimate_camera_noise(quantised(grey)).evidence > 2 * CLEAN_EVIDENCE


def test_a_quiet_dark_half_does_not_hide_the_noise_of_the_bright_half():
    clean = 0.3 * picture(256, 256)
    clean[..., :128] -= 0.6
    clean[..., 128:] += 0.4
    deviation = torch.full((256,), 0.02)
    deviation[128:] = 0.1
    found = estimate_camera_noise(quantised(clean + deviation * noise(256, 256, 3, 1)))
    assert found.sigma == pytest.approx(float(deviation.square().mean().sqrt()), rel=0.3)
    assert found.evidence > 2 * CLEAN_EVIDENCE


def test_saturated_regions_are_not_read():
    """Half the picture is blown out or black: its noise is clipped away, and no block is flatter."""
    clean = 0.5 * picture(256, 256)
    clean[..., :64] = 1.15
    clean[..., 192:] = -1.15
    found = estimate_camera_noise(quantised(clean + 0.06 * noise(256, 256, 3, 4)))
    assert found.sigma == pytest.approx(0.06, rel=0.25)
    assert found.evidence > 2 * CLEAN_EVIDENCE


def test_a_clean_picture_has_next_to_no_noise():
    found = estimate_camera_noise(quantised(picture(128, 128)))
    assert found.sigma < 2 * 1.5 / 255
    assert found.fine < 2 * 0.6 / 255


@pytest.mark.parametrize("value", [-1.0, 0.2, 1.0])
def test_a_flat_picture_has_none(value):
    found = estimate_camera_noise(torch.full((1, 3, 40, 30), value))
    assert found.sigma < 1e-6
    assert found.evidence < CLEAN_EVIDENCE


@pytest.mark.parametrize("size", [(2, 2), (15, 40), (16, 16), (17, 100), (40, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_small_pictures_give_finite_numbers(size, channels):
    x = 0.2 * torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0))
    found = estimate_camera_noise(x)
    assert 0 < found.sigma < 1
    assert 1 <= found.b8 <= LONGEST
    assert -1 <= found.neighbour <= 1
    assert found.evidence > CLEAN_EVIDENCE


def test_the_estimate_needs_no_random_numbers():
    noisy = picture(64, 64) + 0.1 * noise(64, 64, 3, 0)
    torch.manual_seed(1)
    one = estimate_camera_noise(noisy)
    torch.manual_seed(2)
    assert estimate_camera_noise(noisy) == one


def test_a_megapixel_takes_less_than_a_second_of_one_core():
    noisy = 0.1 * noise(1024, 1024, 3, 0)
    began = time.process_time()
    found = estimate_camera_noise(noisy)
    assert time.process_time() - began < 1
    assert found.sigma == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize(("channels", "alike"), [(1, 1.0), (3, 0.0)])
def test_how_far_the_channels_have_the_same_noise(channels, alike):
    noisy = 0.3 * picture(192, 192) + 0.1 * noise(192, 192, 1, 0)[:, :channels]
    assert estimate_camera_noise(noisy).alike == pytest.approx(alike, abs=0.1)
    assert estimate_camera_noise(noisy[:, :1]).alike == 0
