"""The smooth fill of holes."""

import pytest
import torch

from solvers.fill import smooth_fill


def observed_of(fraction: float, size: tuple[int, int], seed: int = 0) -> torch.Tensor:
    return (torch.rand(1, 1, *size, generator=torch.Generator().manual_seed(seed)) < fraction).double()


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (1, 9), (64, 3)])
@pytest.mark.parametrize("fraction", [0.02, 0.5, 1.0])
def test_known_pixels_stay_and_holes_lie_between_them(size, fraction):
    x = torch.rand(2, 3, *size, dtype=torch.float64)
    observed = observed_of(fraction, size)
    observed[..., 0, 0] = 1
    filled = smooth_fill(x, observed)
    known = observed.expand_as(x) == 1
    assert torch.equal(filled[known], x[known])
    lowest = x.masked_fill(~known, 9).amin((-1, -2))
    highest = x.masked_fill(~known, -9).amax((-1, -2))
    assert (filled >= lowest[..., None, None] - 1e-12).all()
    assert (filled <= highest[..., None, None] + 1e-12).all()


def test_the_content_of_holes_is_ignored():
    x, observed = torch.rand(1, 1, 20, 20, dtype=torch.float64), observed_of(0.5, (20, 20))
    assert torch.equal(smooth_fill(x, observed), smooth_fill(x * observed, observed))


def test_a_constant_is_continued():
    observed = observed_of(0.1, (40, 25))
    assert torch.allclose(smooth_fill(torch.full((1, 3, 40, 25), 0.3).double(), observed), torch.tensor(0.3).double())


def test_a_ramp_is_continued_into_a_hole():
    """A fill by the mean of the known pixels would miss the ramp by a quarter of its range."""
    x = torch.linspace(-1, 1, 64, dtype=torch.float64).expand(1, 1, 64, 64)
    observed = torch.ones(1, 1, 64, 64, dtype=torch.float64)
    observed[..., 24:40, 40:56] = 0
    error = (smooth_fill(x, observed) - x)[observed == 0]
    assert error.abs().max() < 0.12


def test_no_known_pixel_gives_zero():
    assert torch.equal(smooth_fill(torch.rand(1, 3, 5, 6), torch.zeros(1, 1, 5, 6)), torch.zeros(1, 3, 5, 6))
