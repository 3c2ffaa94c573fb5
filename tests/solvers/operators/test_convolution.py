"""Convolution against its definition, pixel by pixel."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.operators import convolution
from solvers.operators.borders import BOUNDARIES
from solvers.operators.convolution import Convolution, centred, fast_length, is_symmetric, wrapped
from tests.solvers.operators.test_decimation import reflected


def direct(x: torch.Tensor, kernel: torch.Tensor, boundary: str) -> torch.Tensor:
    """sum over (m, n) of k[m, n] x[i - (m - h // 2), j - (n - w // 2)] of one plane (H, W), in loops."""
    (height, width), (rows, columns) = x.shape, kernel.shape
    pixels, taps = x.tolist(), kernel.tolist()

    def seen(i: int, j: int) -> float:
        if boundary == "zero":
            return pixels[i][j] if 0 <= i < height and 0 <= j < width else 0.0
        if boundary == "circular":
            return pixels[i % height][j % width]
        return pixels[reflected(i, height)][reflected(j, width)]

    return torch.tensor(
        [
            [
                sum(
                    taps[m][n] * seen(i - (m - rows // 2), j - (n - columns // 2))
                    for m in range(rows)
                    for n in range(columns)
                )
                for j in range(width)
            ]
            for i in range(height)
        ],
        dtype=x.dtype,
    )


sides = st.tuples(st.integers(1, 5), st.integers(1, 5))
kernel_sides = st.tuples(st.integers(1, 8), st.integers(1, 8))


@settings(max_examples=25, deadline=None)
@given(sides, kernel_sides, st.sampled_from(BOUNDARIES), st.booleans(), st.integers(0, 99))
def test_it_is_the_definition_in_either_way_of_computing(size, kernel_size, boundary, transforms, seed):
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(*size, generator=rng, dtype=torch.float64)
    kernel = torch.randn(*kernel_size, generator=rng, dtype=torch.float64)
    few, convolution.FEW_TAPS = convolution.FEW_TAPS, 0 if transforms else 64
    try:
        conv = Convolution(size, centred(kernel), boundary)
        assert torch.allclose(conv.forward(x[None])[0], direct(x, kernel, boundary), atol=1e-12)
        count = x.numel()
        basis = torch.eye(count, dtype=torch.float64).reshape(count, *size)
        matrix = conv.forward(basis).reshape(count, count).T
        transposed = conv.adjoint(basis).reshape(count, count).T
        assert torch.allclose(transposed, matrix.T, atol=1e-12)
    finally:
        convolution.FEW_TAPS = few


def test_an_impulse_shows_the_kernel_and_not_its_mirror_image():
    kernel = torch.arange(1.0, 13.0, dtype=torch.float64).reshape(3, 4)
    impulse = torch.zeros(1, 7, 8, dtype=torch.float64)
    impulse[0, 3, 4] = 1
    shown = Convolution((7, 8), centred(kernel), "zero").forward(impulse)[0]
    assert torch.equal(shown[2:5, 2:6], kernel)  # k[1, 2] lies on the pixel itself
    assert shown.sum() == kernel.sum()


def test_the_middle_of_an_even_kernel():
    assert centred(torch.ones(2, 3)).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]
    assert not is_symmetric(centred(torch.ones(2, 3)))
    assert is_symmetric(centred(torch.ones(3, 3)))


def test_a_kernel_wraps_around_a_small_grid():
    assert wrapped(torch.arange(5.0)[None], (1, 3)).tolist() == [[2, 3 + 0, 4 + 1]]


def test_fast_lengths():
    assert [fast_length(n) for n in (1, 7, 11, 61, 3060, 4061)] == [1, 8, 12, 64, 3072, 4096]
