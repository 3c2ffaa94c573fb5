"""Quantisation against a search over all values."""

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.quantise import MARGIN, Quantise, nearest_rounded


def uniform(low: float, high: float, seed: int, count: int = 300) -> torch.Tensor:
    rng = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(1, 1, 1, count, generator=rng, dtype=torch.float64)


@pytest.mark.parametrize("bits", [1, 2, 5])
@pytest.mark.parametrize("rho", [1e-3, 0.05, 0.5, 3.0])
def test_prox_is_the_global_minimiser_but_for_the_margin(bits, rho):
    operator, y, v = Quantise((1, 1, 300), bits), uniform(-1.5, 1.5, 0), uniform(-4, 4, 1)
    y[..., :100] = operator.forward(y[..., :100])
    grid = torch.linspace(-4.5, 4.5, 18001, dtype=torch.float64).reshape(-1, 1, 1, 1)

    def objective(x):
        return (operator.forward(x) - y).square() + rho * (x - v).square()

    x, step = operator.prox(y, v, rho), 2 / operator.top
    assert (objective(x) - objective(grid).amin(0) <= 2 * rho * (x - v).abs() * MARGIN * step + 1e-12).all()


@pytest.mark.parametrize("bits", range(1, 9))
def test_prox_reaches_the_level_that_was_measured_in_single_precision(bits):
    operator, v = Quantise((1, 1, 300), bits), uniform(-2, 2, 1).float()
    y = operator.forward(uniform(-1, 1, 0).float())
    assert torch.equal(operator.forward(operator.prox(y, v, 1e-6)), y)


def test_values_of_the_right_level_stay():
    operator, v = Quantise((1, 1, 300), 3), uniform(-2, 2, 1)
    assert torch.equal(operator.prox(operator.forward(v), v, 1e-3), v)


def test_levels_without_end_are_the_same_far_from_it():
    a, b = uniform(40, 60, 0), uniform(40, 60, 1)
    assert torch.equal(nearest_rounded(a, b, 0.3), nearest_rounded(a, b, 0.3, top=100))


def test_straight_through():
    operator, r = Quantise((1, 1, 300), 2), uniform(-1, 1, 0)
    assert torch.equal(operator.pull_back(uniform(-2, 2, 1), r), r)


@pytest.mark.parametrize("bits", [0, 9, -1, 2.5])
def test_bad_bits(bits):
    with pytest.raises(OperatorError, match="bits"):
        Quantise((3, 4, 4), bits)
