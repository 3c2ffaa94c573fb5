"""Taps, borders and eigenvalues of one axis, against matrices written out."""

import pytest
import torch

from solvers.operators.decimation import Decimation, bicubic_taps, box_taps, separated


def cubic(d: float) -> float:
    """Keys' kernel with a = -0.5, from its general form."""
    a, d = -0.5, abs(d)
    if d <= 1:
        return (a + 2) * d**3 - (a + 3) * d**2 + 1
    return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else 0.0


def reflected(j: int, n: int) -> int:
    """-1 -> 0, -2 -> 1, n -> n - 1, as often as it takes."""
    while not 0 <= j < n:
        j = -1 - j if j < 0 else 2 * n - 1 - j
    return j


def explicit(kept: int, f: int) -> torch.Tensor:
    """The bicubic matrix from its definition: every input pixel that the kernel of an output pixel reaches."""
    n = kept * f
    matrix = torch.zeros(kept, n, dtype=torch.float64)
    for k in range(kept):
        centre = f * k + (f - 1) / 2
        for j in range(int(centre) - 2 * f - 1, int(centre) + 2 * f + 2):
            matrix[k, reflected(j, n)] += cubic((j - centre) / f)
    return matrix / matrix.sum(1, keepdim=True)


def as_matrix(r: Decimation) -> torch.Tensor:
    return r.forward(torch.eye(r.kept * r.factor, dtype=torch.float64), axis=1).T


def test_taps_of_scale_four():
    """Algorithms 3.3, one half, outermost first."""
    half = (-0.001709, -0.010986, -0.018311, -0.011963, 0.022705, 0.097412, 0.181885, 0.240967)
    assert bicubic_taps(4) == pytest.approx((*half, *half[::-1]), abs=6e-7)


@pytest.mark.parametrize("f", [2, 3, 4, 8])
@pytest.mark.parametrize("kept", [1, 2, 5, 9])
def test_bicubic_is_the_explicit_matrix(kept, f):
    r = Decimation(kept, f, bicubic_taps(f))
    assert torch.allclose(as_matrix(r), explicit(kept, f), atol=1e-14)
    transposed = r.adjoint(torch.eye(kept, dtype=torch.float64), axis=1).T
    assert torch.allclose(transposed, explicit(kept, f).T, atol=1e-14)


@pytest.mark.parametrize("taps", [box_taps, bicubic_taps])
@pytest.mark.parametrize("f", [2, 3, 4, 8])
@pytest.mark.parametrize("kept", [1, 2, 7, 12])
def test_the_eigenvalues_are_those_of_the_gram_matrix(kept, f, taps):
    r = Decimation(kept, f, taps(f))
    matrix = as_matrix(r)
    expected = torch.linalg.eigvalsh(matrix @ matrix.T)
    assert torch.allclose(r.gram_eigenvalues.sort().values, expected, atol=1e-14)


def test_either_axis():
    r = Decimation(3, 2, bicubic_taps(2))
    x = torch.randn(2, 6, 6, dtype=torch.float64)
    assert torch.allclose(r.forward(x, axis=-2), r.forward(x.mT, axis=-1).mT, atol=1e-15)
    y = torch.randn(2, 3, 3, dtype=torch.float64)
    assert torch.allclose(r.adjoint(y, axis=-2), r.adjoint(y.mT, axis=-1).mT, atol=1e-15)


@pytest.mark.parametrize("taps", [(0.2, 0.6, 0.2), (1.0,), (0.3, -0.1, 0.6, -0.1, 0.3)])
def test_the_eigenvalues_of_a_filter_that_lets_folded_constants_through(taps):
    """Box and cubic filters stop every frequency that folds onto the constant; others do not."""
    r = Decimation(4, 3, taps)
    matrix = as_matrix(r)
    expected = torch.linalg.eigvalsh(matrix @ matrix.T)
    assert torch.allclose(r.gram_eigenvalues.sort().values, expected, atol=1e-14)


def test_separating_a_kernel():
    rows, columns = torch.tensor([1.0, 2, 1]).double(), torch.tensor([3.0, 5, 3]).double()
    kernel = torch.outer(rows, columns)
    down, right = separated(kernel, 3)
    assert torch.allclose(torch.outer(torch.tensor(down), torch.tensor(right)).double(), kernel)
    assert separated(kernel, 2) is None  # off the centre of the blocks
    assert separated(kernel + torch.diag(rows), 3) is None
    assert separated(torch.outer(rows, torch.tensor([3.0, 5, 2]).double()), 3) is None
    assert separated(torch.outer(rows, torch.tensor([1.0, -2, 1]).double()), 3) is None  # of sum 0


def test_a_separated_kernel_is_at_least_as_long_as_the_block():
    assert separated(torch.ones(2, 4).double(), 4) == ((0, 4, 4, 0), (0.25, 0.25, 0.25, 0.25))
