"""Conjugate gradients against direct solutions."""

import pytest
import torch

from solvers.operators.conjugate_gradients import conjugate_gradients

RNG = torch.Generator().manual_seed(2)
ROOT = torch.randn(12, 12, generator=RNG, dtype=torch.float64)
A = ROOT @ ROOT.T + 0.5 * torch.eye(12, dtype=torch.float64)
B = torch.randn(4, 12, generator=RNG, dtype=torch.float64)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-4)])
def test_it_solves_the_system(dtype, tolerance):
    x = conjugate_gradients(lambda p: p @ A.to(p), B.to(dtype))
    assert x.dtype == dtype
    assert torch.allclose(x.double(), torch.linalg.solve(A, B.T).T, rtol=0, atol=tolerance)


def test_any_shape_of_a_row():
    x = conjugate_gradients(lambda p: 4 * p, B.reshape(4, 3, 2, 2))
    assert torch.allclose(x, B.reshape(4, 3, 2, 2) / 4)


def test_the_solution_of_least_norm():
    singular = ROOT[:, :5] @ ROOT[:, :5].T
    b = B @ singular
    x = conjugate_gradients(lambda p: p @ singular, b)
    assert torch.allclose(x, b @ torch.linalg.pinv(singular), atol=1e-9)


def test_a_row_that_is_solved_rests():
    """An eigenvector takes one step, its neighbour many; zeros take none."""
    easy = torch.linalg.eigh(A).eigenvectors[:, 3]
    alone = conjugate_gradients(lambda p: p @ A, easy[None])
    together = conjugate_gradients(lambda p: p @ A, torch.stack([B[0], easy, torch.zeros(12, dtype=torch.float64)]))
    assert torch.allclose(together[1], alone[0], rtol=0, atol=1e-15)
    assert torch.equal(together[2], torch.zeros(12, dtype=torch.float64))


def test_it_stops_at_the_count():
    seen = []
    conjugate_gradients(lambda p: (seen.append(1), p @ A)[1], B, max_steps=3)
    assert len(seen) == 3


def test_it_stops_when_all_rows_are_solved():
    """Exact in as many steps as there are different eigenvalues."""
    seen = []
    scale = torch.tensor([1.0, 2.0, 5.0] * 4, dtype=torch.float64)
    conjugate_gradients(lambda p: (seen.append(1), p * scale)[1], B)
    assert len(seen) == 3


def test_what_is_not_finite_stays_in_its_row():
    b = B.clone()
    b[1, 4] = torch.nan
    x = conjugate_gradients(lambda p: p @ A, b)
    assert x[1].isnan().any()
    assert torch.allclose(x[0], conjugate_gradients(lambda p: p @ A, B[:1])[0], atol=1e-13)


def test_nothing_is_changed_in_place():
    before = B.clone()
    conjugate_gradients(lambda p: p @ A, B)
    assert torch.equal(B, before)
