"""Tone curves: their extension, their slope and the search of their data step."""

import math

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.gamma import TOE, Gamma

EXPONENTS = (0.3, 1 / 2.2, 1.0, 1.5, 2.2, 3.5)
every_exponent = pytest.mark.parametrize("exponent", EXPONENTS)


def uniform(low: float, high: float, seed: int, count: int = 2000) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(1, 1, 1, count, generator=rng, dtype=torch.float64)


@every_exponent
def test_the_curve_rises_everywhere_and_has_no_kink(exponent):
    operator = Gamma((1, 1, 1), exponent)
    x = torch.linspace(-3, 3, 600_001, dtype=torch.float64).reshape(1, 1, 1, -1)
    y, slope = operator.forward(x), operator.pull_back(x, torch.ones_like(x))
    assert (y.diff() >= 0).all()  # in float64 a high power is flat around 0
    middle = (slope[..., 1:] + slope[..., :-1]) / 2
    assert torch.allclose(y.diff() / x.diff(), middle, rtol=2e-4, atol=1e-3)


def test_the_power_is_exact_down_to_a_quarter_of_a_level():
    t = torch.linspace(TOE, 1, 1001, dtype=torch.float64).reshape(1, 1, 1, -1)
    y = Gamma((1, 1, 1001), 0.45).forward(2 * t - 1)
    assert torch.allclose((y + 1) / 2, t**0.45, atol=1e-14)


def test_beyond_white_the_curve_is_straight_and_below_black_odd():
    operator = Gamma((1, 1, 1), 2.0)
    assert operator.forward(torch.tensor([2.0, -1.5])).tolist() == pytest.approx([1 + 2 * 2 * 0.5, -1 - 2 * 0.25**2])


@every_exponent
def test_start_undoes_the_curve(exponent):
    x = uniform(-0.99, 2, 0)
    assert torch.allclose(Gamma((1, 1, 2000), exponent).start(Gamma((1, 1, 2000), exponent).forward(x)), x, atol=1e-9)


@every_exponent
@pytest.mark.parametrize("rho", [1e-3, 0.1, 1.0])
def test_prox_is_the_global_minimiser(exponent, rho):
    operator, t = Gamma((1, 1, 300), exponent), uniform(-1, 1, 0, 300)
    y, v = operator.forward(t), t + uniform(-0.5, 0.5, 1, 300)
    grid = torch.linspace(-2, 2, 8001, dtype=torch.float64).reshape(-1, 1, 1, 1)

    def objective(x):
        return (operator.forward(x) - y).square() + rho * (x - v).square()

    x = operator.prox(y, v, rho)
    assert (objective(x) <= objective(grid).amin(0) + 1e-9).all()
    stationary = operator.pull_back(x, operator.forward(x) - y) + rho * (x - v)
    assert stationary.abs().max() < 1e-9


@pytest.mark.parametrize("exponent", [0.0, -2.2, 11.0, math.nan])
def test_bad_exponents(exponent):
    with pytest.raises(OperatorError, match="exponent"):
        Gamma((3, 4, 4), exponent)
