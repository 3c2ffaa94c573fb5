"""Matrices against multiplication written out, and what is no measurement."""

import pytest
import torch

from solvers.operators import matrix as module
from solvers.operators.base import OperatorError
from solvers.operators.matrix import Matrix

RNG = torch.Generator().manual_seed(4)
LAYOUTS = [lambda a: a, lambda a: a.to_sparse_coo(), lambda a: a.to_sparse_csr()]


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=RNG, dtype=torch.float64)


@pytest.mark.parametrize("laid_out", LAYOUTS)
def test_the_flattened_picture(laid_out):
    a, x, y = normal(5, 24), normal(2, 3, 2, 4), normal(2, 1, 1, 5)
    operator = Matrix(laid_out(a), (3, 2, 4))
    expected = [sum(a[i, j] * x[1].reshape(-1)[j] for j in range(24)) for i in range(5)]
    assert operator.output_shape == (1, 1, 5)
    assert operator.forward(x)[1].flatten().tolist() == pytest.approx([float(value) for value in expected])
    assert torch.allclose(operator.adjoint(y)[1].flatten(), a.T @ y[1].flatten())


@pytest.mark.parametrize("laid_out", LAYOUTS)
def test_each_channel_alone(laid_out):
    a, x = normal(6, 8), normal(2, 3, 2, 4)
    operator = Matrix(laid_out(a), (3, 2, 4), (3, 2, 3))
    y = operator.forward(x)
    for row in range(2):
        for channel in range(3):
            assert torch.allclose(y[row, channel].flatten(), a @ x[row, channel].flatten())
    assert Matrix(laid_out(a), (3, 2, 4)).output_shape == (3, 1, 6)


@pytest.mark.parametrize("shape", [(7, 24), (30, 24), (5, 8), (12, 8)])
def test_the_closed_form_is_what_conjugate_gradients_find(shape, monkeypatch):
    a, x = normal(*shape), normal(2, 3, 2, 4)
    closed = Matrix(a, (3, 2, 4))
    y = closed.forward(x) + 1
    monkeypatch.setattr(module, "MAX_GRAM", 4)
    iterated = Matrix(a, (3, 2, 4))
    assert torch.allclose(closed.prox(y, -x, 0.2), iterated.prox(y, -x, 0.2), atol=1e-10)
    assert torch.allclose(closed.pseudoinverse(y), iterated.pseudoinverse(y), atol=1e-10)
    assert iterated._gram is None
    assert closed.norm == pytest.approx(iterated.norm, rel=1e-12)


def test_a_matrix_without_full_rank():
    a = torch.outer(normal(6), normal(8))
    operator, y = Matrix(a, (1, 2, 4), damping=0.0), normal(1, 1, 1, 6)
    assert torch.allclose(operator.pseudoinverse(y).flatten(), torch.linalg.pinv(a) @ y.flatten(), atol=1e-10)


@pytest.mark.parametrize(
    ("a", "output_shape", "why"),
    [
        (torch.ones(3, 7), None, "7 columns"),
        (torch.ones(3), None, "m, n"),
        (torch.ones(0, 8), None, "m, n"),
        (torch.ones(3, 8, dtype=torch.int64), None, "floats"),
        (torch.zeros(3, 8), None, "zero"),
        (torch.full((3, 8), torch.nan), None, "finite"),
        (torch.full((3, 8), torch.inf).to_sparse_coo(), None, "finite"),
        (torch.zeros(3, 8).to_sparse_csr(), None, "zero"),
        (torch.ones(3, 8), (1, 1, 3), "do not make"),
        (torch.ones(3, 24), (3, 1, 3), "do not make"),
    ],
)
def test_what_is_not_a_measurement(a, output_shape, why):
    with pytest.raises(OperatorError, match=why):
        Matrix(a, (3, 2, 4), output_shape)
