"""The largest eigenvalue against a full decomposition."""

import pytest
import torch

from solvers.operators.lanczos import largest_eigenvalue


@pytest.mark.parametrize("n", [1, 2, 30, 200])
def test_of_a_matrix(n):
    root = torch.randn(n, n, generator=torch.Generator().manual_seed(n), dtype=torch.float64)
    a = root @ root.T
    assert largest_eigenvalue(lambda x: x @ a, (n,)) == pytest.approx(float(torch.linalg.eigvalsh(a)[-1]), rel=1e-11)


def test_degenerate_spectra():
    assert largest_eigenvalue(lambda x: 3 * x, (2, 5)) == pytest.approx(3)
    assert largest_eigenvalue(torch.zeros_like, (4,)) == 0


def test_a_dense_top_is_found_from_below():
    """A thousand neighbours, as a large blur has."""
    scale = torch.linspace(0, 1, 1000, dtype=torch.float64)
    found = largest_eigenvalue(lambda x: x * scale, (1000,))
    assert 1 - 1e-3 < found <= 1
