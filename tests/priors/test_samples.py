"""Pictures out of noise, and the sheet of a prior."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from priors.analytic import GaussianPrior
from priors.samples import draw, sheet


def gaussian(sigma_max: float) -> GaussianPrior:
    prior = GaussianPrior(0.04, mean=0.3)
    prior.info = replace(prior.info, sigma_min=0.002, sigma_max=sigma_max)
    return prior


def test_what_is_drawn_of_a_gaussian_is_where_its_flow_ends() -> None:
    """dx/dsigma = (x - D) / sigma carries x - mean in proportion to sqrt(variance + sigma^2)."""
    drawn = draw(gaussian(80.0), count=2, side=8, steps=120, seed=3)
    noise = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(3))
    expected = 0.3 + (80 * noise - 0.3) * (0.04 / (0.04 + 80**2)) ** 0.5
    torch.testing.assert_close(drawn, expected, rtol=0, atol=1e-3)


def test_a_denoiser_of_little_noise_cannot_draw() -> None:
    with pytest.raises(ValueError, match="gaussian knows no level above 0.8, and cannot draw"):
        draw(gaussian(0.8), count=1, side=8, steps=2, seed=0)


def test_the_sheet_has_noise_answers_and_drawings() -> None:
    clean = torch.full((1, 3, 16, 16), 0.3)
    pixels = np.asarray(sheet(gaussian(80.0), clean, [0.1, 0.4], steps=3, seed=0), dtype=float) / 127.5 - 1
    assert pixels.shape == (48, 32, 3)
    noisy, answer = pixels[:16, :16] - 0.3, pixels[16:32, :16] - 0.3
    assert noisy.std() == pytest.approx(0.1, rel=0.1)
    assert answer.std() == pytest.approx(0.1 * 0.04 / (0.04 + 0.01), rel=0.1)  # the shrinkage of the posterior mean
    assert sheet(gaussian(0.8), clean, [0.1], steps=3, seed=0).size == (16, 32)
