"""The fast cosine transform against its matrix."""

import math

import pytest
import torch

from solvers.operators.convolution import Convolution
from solvers.operators.dct import cosine_response, dct2d, idct2d


def matrix(n: int) -> torch.Tensor:
    """Orthonormal DCT-II, (n, n) float64."""
    k, j = torch.arange(n, dtype=torch.float64)[:, None], torch.arange(n, dtype=torch.float64)[None, :]
    m = torch.cos(math.pi * k * (2 * j + 1) / (2 * n)) * math.sqrt(2 / n)
    m[0] /= math.sqrt(2)
    return m


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3), (8, 8), (13, 7)])
def test_it_is_the_matrix_on_either_side(size):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = matrix(size[0]) @ x @ matrix(size[1]).T
    assert torch.allclose(dct2d(x), expected, atol=1e-12)
    assert torch.allclose(idct2d(expected), x, atol=1e-12)


def test_single_precision():
    x = torch.randn(1, 1, 33, 20, generator=torch.Generator().manual_seed(0))
    assert dct2d(x).dtype == torch.float32
    assert torch.allclose(idct2d(dct2d(x)), x, atol=1e-5)


@pytest.mark.parametrize("sides", [(1, 3), (5, 3), (9, 17)])
def test_the_response_of_a_symmetric_filter(sides):
    """Diagonal of the cosine transform of the filter, whose reflections are written out."""
    k = torch.rand(*sides, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    k = k + k.flip(0)
    k = k + k.flip(1)
    conv = Convolution((4, 5), k, "reflect")
    basis = torch.eye(20, dtype=torch.float64).reshape(20, 4, 5)
    transformed = dct2d(conv.forward(idct2d(basis))).reshape(20, 20)
    response = cosine_response(k, (4, 5), basis)
    assert torch.allclose(transformed, torch.diag(response.flatten()), atol=1e-12)
