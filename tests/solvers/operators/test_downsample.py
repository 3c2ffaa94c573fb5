"""Down-sampling against independent direct computations."""

import pytest
import torch
from torch.nn import functional

from solvers.operators import kernels
from solvers.operators.base import OperatorError
from solvers.operators.downsample import SCALES, Downsample, Separable
from solvers.operators.strided import Strided
from tests.solvers.operators.test_convolution import direct


def image(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("f", SCALES)
def test_box_is_the_mean_of_blocks(f):
    x = image(2, 3, 5 * f, 7 * f)
    expected = x.reshape(2, 3, 5, f, 7, f).mean((3, 5))
    operator = Downsample((3, 5 * f, 7 * f), f, "box")
    assert torch.allclose(operator.forward(x), expected, atol=1e-13)
    replicated = expected.repeat_interleave(f, -1).repeat_interleave(f, -2)
    assert torch.allclose(operator.adjoint(expected), replicated / f**2, atol=1e-13)
    assert torch.allclose(operator.pseudoinverse(expected), replicated, atol=1e-12)


@pytest.mark.parametrize("f", SCALES)
def test_box_gram_is_a_multiple_of_the_identity(f):
    operator, y = Downsample((1, 3 * f, 4 * f), f, "box"), image(1, 1, 3, 4)
    assert torch.allclose(operator.forward(operator.adjoint(y)), y / f**2, atol=1e-14)
    assert operator.norm == pytest.approx(1 / f)


@pytest.mark.parametrize("rho", [1e-3, 0.5])
def test_box_prox_in_closed_form(rho):
    """v + (1/f^2) / (1/f^2 + rho) replicate(y - H v)."""
    operator, v, y = Downsample((3, 12, 20), 4, "box"), image(1, 3, 12, 20), image(1, 3, 3, 5)
    misfit = (y - operator.forward(v)).repeat_interleave(4, -1).repeat_interleave(4, -2)
    assert torch.allclose(operator.prox(y, v, rho), v + (1 / 16) / (1 / 16 + rho) * misfit, atol=1e-12)


@pytest.mark.parametrize("f", SCALES)
def test_bicubic_is_antialiased_interpolation_away_from_the_border(f):
    x = image(2, 3, 11 * f, 9 * f)
    ours = Downsample((3, 11 * f, 9 * f), f, "bicubic").forward(x)
    library = functional.interpolate(x, scale_factor=1 / f, mode="bicubic", antialias=True)
    # torch uses a = -0.5 for antialiased bicubic; its taps carry single precision
    assert torch.allclose(ours[..., 2:-2, 2:-2], library[..., 2:-2, 2:-2], atol=2e-6)
    assert (ours - library).abs().max() > 1e-3  # it renormalises at the border, where ours reflects


def every(x: torch.Tensor, kernel: torch.Tensor, f: int) -> torch.Tensor:
    """Pixel (f - 1) // 2 of each block of a plane blurred in loops."""
    return direct(x, kernel, "reflect")[(f - 1) // 2 :: f, (f - 1) // 2 :: f]


@pytest.mark.parametrize(
    ("kernel", "f", "kind"),
    [
        (kernels.gaussian(0.8, 4), 2, Separable),
        (kernels.gaussian(1.2, 5), 3, Separable),
        (kernels.box(1), 3, Separable),  # narrower than the block
        (kernels.line(3, 0)[1:2], 3, Separable),
        (kernels.gaussian(0.8, 5), 2, Strided),  # half a pixel beside
        (kernels.box(4), 3, Strided),
        (kernels.disk(1.5), 3, Strided),  # not separable
        (kernels.motion(6, 1.0, 4), 4, Strided),
    ],
)
def test_a_kernel_of_ones_own_is_a_blur_that_is_decimated(kernel, f, kind):
    operator, x = Downsample((2, 2 * f, 3 * f), f, kernel), image(1, 2, 2 * f, 3 * f)
    assert isinstance(operator._filter, kind)
    for channel in range(2):
        assert torch.allclose(operator.forward(x)[0, channel], every(x[0, channel], kernel, f), atol=1e-13)


def test_taps_serve_both_axes():
    taps, x = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64), image(1, 1, 6, 9)
    operator = Downsample((1, 6, 9), 3, taps)
    assert torch.allclose(operator.forward(x)[0, 0], every(x[0, 0], torch.outer(taps, taps), 3), atol=1e-13)


@pytest.mark.parametrize(("kernel", "f"), [(kernels.gaussian(1.0, 6), 2), (kernels.gaussian(1.5, 9), 3)])
def test_the_closed_form_is_what_conjugate_gradients_find(kernel, f):
    size = (4 * f, 5 * f)
    closed, iterated, y = Downsample((2, *size), f, kernel)._filter, Strided(size, f, kernel), image(2, 2, 4, 5)
    assert isinstance(closed, Separable)
    assert torch.allclose(closed.adjoint(y), iterated.adjoint(y), atol=1e-13)
    assert torch.allclose(closed.solve_gram(y, 0.01), iterated.solve_gram(y, 0.01), atol=1e-10)
    assert closed.gram_norm == pytest.approx(iterated.gram_norm, rel=1e-10)


def test_named_kernels_are_inverted_exactly_and_others_are_damped():
    assert Downsample((1, 8, 8), 2).damping == 0
    assert Downsample((1, 8, 8), 2, kernels.gaussian(1.0)).damping > 0


def test_any_whole_multiple_and_nothing_else():
    assert Downsample((3, 9, 21), 3).output_shape == (3, 3, 7)
    for shape in ((3, 10, 21), (3, 9, 20), (3, 0, 21)):
        with pytest.raises(OperatorError, match="multiple"):
            Downsample(shape, 3)
    with pytest.raises(OperatorError, match="scale 5"):
        Downsample((3, 10, 10), 5)
    with pytest.raises(OperatorError, match="lanczos"):
        Downsample((3, 8, 8), 2, "lanczos")
    for kernel in (torch.zeros(3, 3), torch.tensor([1.0, torch.nan]), torch.ones(2, 2, 2)):
        with pytest.raises(OperatorError, match="kernel"):
            Downsample((3, 8, 8), 2, kernel)
