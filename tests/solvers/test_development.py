"""Light with noise behind a curve: what is known is the light."""

import pytest
import torch
from torch import Tensor

from solvers.development import CELL, brightened, cell_medians
from tests.solvers.test_camera_noise import noise

GAMMA = 2.2


def developed(light: Tensor) -> Tensor:
    """Light on [0, 1] to a picture on [-1, 1]."""
    return 2 * light.clamp(min=0).pow(1 / GAMMA) - 1


def slopes(height: int = 256, width: int = 384) -> Tensor:
    """Light from dark to bright, a shade more of it in every channel."""
    rising = torch.linspace(0.04, 0.5, width).expand(1, 3, height, width)
    return rising * torch.tensor([0.8, 0.9, 1.0])[:, None, None]


def of_the_mean(light: Tensor, level: float) -> Tensor:
    """What a denoiser makes of it that takes noise to have no mean."""
    shown = [developed(light + level * noise(*light.shape[-2:], 1, seed)) for seed in range(10, 30)]
    return torch.stack(shown).mean((0, 3), keepdim=True)[0].expand_as(light)


@pytest.mark.parametrize("correlated", [1, 3])
@pytest.mark.parametrize("level", [0.02, 0.06])
def test_the_light_behind_a_gamma_is_found(level, correlated):
    """Where black cuts noise off, too: the darkest light is half a deviation of the strongest."""
    light = slopes()
    noisy = developed(light + level * noise(256, 384, correlated, seed=1))
    darker = of_the_mean(light, level)
    before, after = (each - developed(light) for each in (darker, brightened(darker, noisy)))
    assert float(before.mean()) < -0.002
    assert abs(float(after.mean())) < 0.2 * abs(float(before.mean()))
    assert float(after.square().mean()) < 0.5 * float(before.square().mean())


def test_noise_of_few_photons_is_undone_in_part_and_not_beyond():
    light = slopes()
    noisy = developed(torch.poisson(60 * light, generator=torch.Generator().manual_seed(0)) / 60)
    darker = noisy.mean(2, keepdim=True).expand_as(light)
    before, after = (float((each - developed(light)).mean()) for each in (darker, brightened(darker, noisy)))
    assert before < -0.002
    assert 0.8 * before < after < 0.1 * abs(before)


@pytest.mark.parametrize("correlated", [1, 3, 5])
def test_noise_on_a_finished_picture_leaves_it(correlated):
    picture = developed(slopes())
    change = brightened(picture, picture + 0.2 * noise(256, 384, correlated, seed=2)) - picture
    assert float(change.square().mean().sqrt()) < 0.2 / 40


@pytest.mark.parametrize("value", [-1.0, 1.0])
def test_what_is_no_noise_does_not_brighten(value):
    """One pixel in fifty is black or white."""
    picture = developed(slopes())
    spots = torch.rand(1, 1, 256, 384, generator=torch.Generator().manual_seed(0)) < 0.02
    measured = (picture + 0.06 * noise(256, 384, 1, seed=2)).where(~spots, torch.tensor(value))
    assert float((brightened(picture, measured) - picture).abs().max()) < 0.1 * 0.06


def test_what_is_coarse_in_the_measurement_stays():
    picture = developed(slopes(2 * CELL, 3 * CELL))
    tint = torch.tensor([0.1, 0.0, -0.05])[:, None, None]
    assert torch.allclose(brightened(picture - tint, picture), picture, atol=1e-6)


@pytest.mark.parametrize(("width", "middles"), [(1, [0]), (128, [63.5]), (300, [49.5, 149.5, 249.5])])
def test_cells_are_of_equal_size(width, middles):
    ramp = torch.arange(width).float().expand(1, 2, 40, width)
    assert cell_medians(ramp)[0, 0, 0].tolist() == pytest.approx(middles, abs=0.5)
    assert torch.equal(cell_medians(ramp.transpose(2, 3)), cell_medians(ramp).transpose(2, 3))


def test_rows_do_not_know_of_each_other():
    pair = torch.rand(2, 3, 40, 150, generator=torch.Generator().manual_seed(0))
    together = brightened(pair, 1 - pair)
    assert torch.equal(together[1:], brightened(pair[1:], 1 - pair[1:]))
    assert torch.equal(brightened(pair, pair), pair)
