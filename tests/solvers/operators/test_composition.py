"""Chains against the product of matrices."""

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.composition import Composition
from solvers.operators.downsample import Downsample
from solvers.operators.grey import Grey
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.operators.matrix import Matrix

OBSERVED = torch.tensor([[True, False, True], [True, True, False]])


def as_matrix(operator) -> torch.Tensor:
    count = torch.tensor(operator.input_shape).prod().item()
    basis = torch.eye(count, dtype=torch.float64).reshape(count, *operator.input_shape)
    return operator.forward(basis).reshape(count, -1).T


def test_the_first_acts_first():
    parts = (Downsample((3, 4, 6), 2), Grey((3, 2, 3)), Mask(OBSERVED, 1))
    chain = Composition(parts)
    assert (chain.input_shape, chain.output_shape) == ((3, 4, 6), (1, 2, 3))
    down, grey, mask = (as_matrix(part) for part in parts)
    assert torch.allclose(as_matrix(chain), mask @ grey @ down, atol=1e-14)


def test_the_inverse_of_the_product_is_not_the_product_of_the_inverses():
    rng = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*s, generator=rng, dtype=torch.float64) for s in ((4, 6), (3, 4)))
    chain = Composition((Matrix(a, (1, 2, 3), damping=0.0), Matrix(b, (1, 1, 4), damping=0.0)), damping=0.0)
    y = torch.randn(1, 1, 1, 3, generator=rng, dtype=torch.float64)
    found = chain.pseudoinverse(y).flatten()
    assert torch.allclose(found, torch.linalg.pinv(b @ a) @ y.flatten(), atol=1e-10)
    in_reverse = chain.operators[0].pseudoinverse(chain.operators[1].pseudoinverse(y)).flatten()
    assert (found - in_reverse).norm() > 0.1 * found.norm()


def test_prox_against_the_normal_equations():
    chain = Composition((Downsample((3, 4, 6), 2), Mask(OBSERVED, 3)))
    h, rng = as_matrix(chain), torch.Generator().manual_seed(0)
    y, v = (torch.randn(1, *s, generator=rng, dtype=torch.float64) for s in (chain.output_shape, chain.input_shape))
    expected = torch.linalg.solve(h.T @ h + 0.3 * torch.eye(72), h.T @ y.flatten() + 0.3 * v.flatten())
    assert torch.allclose(chain.prox(y, v, 0.3).flatten(), expected, atol=1e-10)


class Square:
    """Not linear."""

    input_shape = output_shape = (1, 2, 2)

    def pull_back(self, x, r):
        return 2 * x * r


def test_what_is_not_a_chain():
    with pytest.raises(OperatorError, match="nothing"):
        Composition(())
    with pytest.raises(OperatorError, match=r"\(3, 2, 2\) is handed to an operator on \(3, 4, 4\)"):
        Composition((Downsample((3, 4, 4), 2), Identity((3, 4, 4))))
    with pytest.raises(OperatorError, match="linear"):
        Composition((Identity((1, 2, 2)), Square()))
