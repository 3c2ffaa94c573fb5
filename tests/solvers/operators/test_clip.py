"""Clipping against a search over all values."""

import math

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.clip import Clip


@pytest.mark.parametrize("gain", [0.7, 2.0])
@pytest.mark.parametrize("rho", [1e-3, 0.05, 0.5, 3.0])
def test_prox_is_the_global_minimiser(gain, rho):
    operator, rng = Clip((1, 1, 300), gain), torch.Generator().manual_seed(0)
    y = torch.rand(1, 1, 1, 300, generator=rng, dtype=torch.float64) * 3 - 1.5
    y[..., :100] = operator.forward(y[..., :100])  # also what a measurement without noise can be, -1 and 1
    v = torch.rand(1, 1, 1, 300, generator=rng, dtype=torch.float64) * 6 - 3
    grid = torch.linspace(-4, 4, 8001, dtype=torch.float64).reshape(-1, 1, 1, 1)

    def objective(x):
        return (operator.forward(x) - y).square() + rho * (x - v).square()

    excess = objective(operator.prox(y, v, rho)) - objective(grid).amin(0)
    assert excess.max() < 1e-12
    assert excess.min() > -1e-3  # what the grid misses


def test_a_white_pixel_is_only_bounded_from_below():
    operator = Clip((1, 1, 3))
    y = torch.ones(1, 1, 1, 3)
    x = operator.prox(y, torch.tensor([[[[0.2, 0.6, 7.0]]]]), 1e-6)
    assert torch.allclose(x, torch.tensor([[[[0.5, 0.6, 7.0]]]]), atol=1e-5)


def test_slope_is_the_gain_or_nothing():
    x = torch.tensor([[[[-0.6, -0.49, 0.0, 0.49, 0.6]]]])
    assert Clip((1, 1, 5)).pull_back(x, torch.ones_like(x)).flatten().tolist() == [0, 2, 2, 2, 0]


@pytest.mark.parametrize("gain", [0.0, -1.0, math.nan, math.inf])
def test_bad_gains(gain):
    with pytest.raises(OperatorError, match="gain"):
        Clip((3, 4, 4), gain)
