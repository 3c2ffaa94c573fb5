"""What a denoiser of photographs is shown, and what it is told."""

import pytest
import torch
from torch import Tensor

from priors.training import samples
from priors.training.samples import PHOTOGRAPHS, UNEVEN, WHITE, profile
from priors.training.samples import samples as shown

ROWS, SIDE = 6, 64
ENDS = {"white": WHITE, "uneven": WHITE + UNEVEN, "photograph": WHITE + UNEVEN + PHOTOGRAPHS, "estimate": 1.0}


@pytest.fixture
def clean() -> Tensor:
    """Smooth in its upper half, textured in its lower."""
    waves = torch.sin(torch.arange(SIDE) / 9)
    texture = 0.3 * torch.randn(SIDE // 2, SIDE, generator=torch.Generator().manual_seed(3)).clamp(-1, 1)
    picture = 0.4 * torch.outer(waves, waves)
    picture[SIDE // 2 :] += texture
    return picture.expand(ROWS, 3, SIDE, SIDE).contiguous()


def of_kind(kind: str, rows: int = ROWS) -> Tensor:
    """Draws that make every sample one of `kind`."""
    draws = torch.randn(rows, samples.DRAWS, generator=torch.Generator().manual_seed(0))
    draws[:, 0] = torch.special.ndtri(torch.tensor(ENDS[kind] - 0.01))
    return draws


def white(rows: int = ROWS, seed: int = 1) -> Tensor:
    return torch.randn(rows, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))


SIGMA = torch.linspace(0.03, 0.2, ROWS)


@pytest.mark.parametrize("kind", ["white", "uneven"])
def test_white_noise_is_told_at_every_pixel(clean: Tensor, kind: str) -> None:
    sample = shown(clean, SIGMA, white(), of_kind(kind))
    torch.testing.assert_close(sample.noisy, clean + sample.told * white())
    torch.testing.assert_close(sample.truth, clean)
    torch.testing.assert_close(sample.told.square().mean((1, 2, 3)).sqrt(), SIGMA)
    assert (sample.told.flatten(1).std(1) > 0.01 * SIGMA).any() == (kind == "uneven")


def test_a_photograph_is_told_one_level_of_about_its_noise(clean: Tensor) -> None:
    sample = shown(clean, SIGMA, white(), of_kind("photograph"))
    assert (sample.told.flatten(1).std(1) < 1e-6).all()
    level = (sample.noisy - sample.truth).square().mean((1, 2, 3)).sqrt()
    assert ((sample.told[:, 0, 0, 0] / level).log().abs() < 1).all()


def test_an_estimate_has_more_noise_than_is_told(clean: Tensor) -> None:
    """What is left of the camera's, independent of what is added and told."""
    smooth = clean[:, :, :32].repeat(1, 1, 2, 1)  # of a texture a JPEG keeps less
    sample = shown(smooth, SIGMA, white(), of_kind("estimate"))
    camera = sample.noisy - sample.told * white() - sample.truth
    level = camera.square().mean((1, 2, 3)).sqrt()
    assert (level > 0.01 * SIGMA).all() and (level < samples.LEFT * 1.5 * SIGMA).all()
    correlation = (camera * white()).mean((1, 2, 3)) / level
    assert (correlation.abs() < 0.05).all()


@pytest.mark.parametrize("rows", [1, 2])
def test_any_number_of_rows_will_do(clean: Tensor, rows: int) -> None:
    for kind in ENDS:
        sample = shown(clean[:rows], SIGMA[:rows], white(rows), of_kind(kind, rows))
        assert sample.noisy.shape == (rows, 3, SIDE, SIDE) and sample.told.shape == (rows, 1, SIDE, SIDE)
        assert all(torch.isfinite(x).all() for x in (sample.noisy, sample.truth, sample.told))


def test_the_level_goes_with_the_detail_or_at_random(clean: Tensor) -> None:
    strength = torch.full((ROWS,), 0.5)
    by_detail = torch.tensor([[0.0, 3.0]]).expand(ROWS, 2)
    levels = profile(clean, white(), strength, by_detail)
    assert (levels[:, :, 40:].mean((1, 2, 3)) > 1.3 * levels[:, :, :24].mean((1, 2, 3))).all()
    torch.testing.assert_close(levels[0], levels[1])
    at_random = profile(clean, white(), strength, -by_detail)
    assert not torch.allclose(at_random[0], at_random[1], atol=0.1)


def test_photographs_are_enlarged_from_their_middle() -> None:
    """A ramp becomes a flatter ramp with the same value in the middle; other kinds stay as they are."""
    ramp = torch.linspace(-0.8, 0.8, SIDE).expand(3, 3, SIDE, SIDE)
    uniform = torch.tensor([0.999 * samples.ENLARGED, 0.5 * samples.ENLARGED, samples.ENLARGED + 0.1])
    slopes = samples.enlarged(ramp, uniform, torch.tensor([True, True, True]))[:, 0, 32, 24:41].diff().mean(1)
    factors = torch.tensor([samples.LARGEST, (1 + samples.LARGEST) / 2, 1.0])
    torch.testing.assert_close(slopes, 1.6 / (SIDE - 1) / factors, rtol=0.01, atol=0)
    untouched = samples.enlarged(ramp, uniform, torch.tensor([False, False, False]))
    torch.testing.assert_close(untouched, ramp)
