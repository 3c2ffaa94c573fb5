"""Halving and doubling of colours."""

import pytest
import torch

from solvers.operators.chroma import double, double_adjoint, halve, halve_adjoint, undouble

every_size = pytest.mark.parametrize("size", [(8, 6), (7, 5), (1, 1), (1, 4), (3, 2), (13, 24)])


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(2, 2, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@every_size
def test_adjoints(size):
    height, width = size
    x, y = normal(height, width), normal((height + 1) // 2, (width + 1) // 2, seed=1)
    assert torch.allclose((halve(x) * y).sum(), (x * halve_adjoint(y, height, width)).sum(), atol=1e-12)
    assert torch.allclose((double(y, height, width) * x).sum(), (y * double_adjoint(x)).sum(), atol=1e-12)


@every_size
def test_doubling_is_undone(size):
    height, width = size
    y = normal((height + 1) // 2, (width + 1) // 2)
    assert torch.allclose(undouble(double(y, height, width)), y, atol=1e-12)


def test_undoing_is_least_squares():
    x = normal(8, 6)
    assert double_adjoint(double(undouble(x), 8, 6) - x).abs().max() < 1e-12


def test_a_row_by_hand():
    assert halve(torch.tensor([[[[1.0, 3.0, 5.0]]]])).tolist() == [[[[2.0, 5.0]]]]
    doubled = double(torch.tensor([[[[0.0, 4.0, 8.0]]]]), 1, 5)
    assert doubled.tolist() == [[[[0.0, 1.0, 3.0, 5.0, 7.0]]]]
