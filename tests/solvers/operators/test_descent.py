"""The inner descent where the answer is known."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from solvers.operators.descent import descend


@dataclass(frozen=True)
class Linear:
    """f(x) = A x, with slopes `factor` A^T."""

    matrix: Tensor
    factor: float = 1.0
    input_shape: tuple[int, int, int] = (1, 1, 12)
    output_shape: tuple[int, int, int] = (1, 1, 20)

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.matrix.T

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        return self.factor * (r @ self.matrix)


def parts(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """A of norm 1, y and v of three rows."""
    rng = torch.Generator().manual_seed(0)
    matrix, y, v = (torch.randn(s, generator=rng, dtype=dtype) for s in ((20, 12), (3, 1, 1, 20), (3, 1, 1, 12)))
    return matrix / torch.linalg.matrix_norm(matrix, 2), y, v


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-3)])
@pytest.mark.parametrize("rho", [1e-2, 1.0])
def test_linear_least_squares(rho, dtype, tolerance):
    matrix, y, v = parts(dtype)
    system = matrix.T @ matrix + rho * torch.eye(12, dtype=dtype)
    expected = torch.linalg.solve(system, (y @ matrix + rho * v)[:, 0, 0].T).T
    x = descend(Linear(matrix), y, v, rho)
    assert (x[:, 0, 0] - expected).norm() < tolerance * expected.norm()


def test_a_row_that_has_arrived_stays_while_others_move():
    matrix, y, v = parts()
    y[0] = Linear(matrix).forward(v)[0]
    x = descend(Linear(matrix), y, v, 0.1)
    assert torch.equal(x[0], v[0])
    assert not torch.allclose(x[1:], v[1:])


@pytest.mark.parametrize("factor", [-1.0, 0.0, 30.0, 0.03])
def test_a_wrong_slope_does_no_harm(factor):
    matrix, y, v = parts()
    operator = Linear(matrix, factor)
    x = descend(operator, y, v, 0.1)
    before, after = ((0.5 * (operator.forward(z) - y).square()).sum((1, 2, 3)) for z in (v, x))
    after = after + 0.05 * (x - v).square().sum((1, 2, 3))
    assert (after <= before).all()
    assert factor <= 0 or (after < before).all()


def test_no_more_steps_than_asked():
    matrix, y, v = parts()
    assert torch.equal(descend(Linear(matrix), y, v, 0.1, steps=0), v)
