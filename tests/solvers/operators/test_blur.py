"""Blurs: spectra against what the pixels do, the damped inverse, and what is no kernel."""

import pytest
import torch

from solvers.operators import blur, kernels
from solvers.operators.base import OperatorError
from solvers.operators.blur import Blur
from solvers.operators.borders import BOUNDARIES
from solvers.operators.damping import tikhonov
from tests.solvers.operators.test_convolution import direct

KERNELS = {"symmetric": kernels.line(5, 90), "even": kernels.box(4), "aslant": kernels.line(5, 45)}


def image(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=dtype)


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("kernel", [kernels.motion(9, 1.0, 3), kernels.gaussian(1.5), kernels.line(5, 20)])
def test_each_channel_is_convolved_alone(boundary, kernel):
    x = image(2, 3, 6, 9)
    y = Blur((3, 6, 9), kernel, boundary).forward(x)
    for row in range(2):
        for channel in range(3):
            assert torch.allclose(y[row, channel], direct(x[row, channel], kernel, boundary), atol=1e-12)


def test_the_border_is_reflected_unless_told():
    kernel = torch.tensor([[0.0, 0.0, 1.0]])  # moves the picture one pixel to the right
    assert Blur((1, 1, 3), kernel).forward(torch.tensor([[[[1.0, 2.0, 3.0]]]])).flatten().tolist() == [1, 1, 2]


@pytest.mark.parametrize("boundary", ["reflect", "circular"])
@pytest.mark.parametrize("kernel", [kernels.gaussian(1.5), kernels.disk(2.3), kernels.box(3), kernels.line(4, 90)])
def test_the_closed_form_is_what_conjugate_gradients_find(boundary, kernel):
    operator, y, v = Blur((1, 9, 8), kernel, boundary), image(2, 1, 9, 8), image(2, 1, 9, 8).flip(-1)
    assert operator._diagonal
    found = v + tikhonov(operator.forward, operator.adjoint, y - operator.forward(v), 0.05)
    assert torch.allclose(operator.prox(y, v, 0.05), found, atol=1e-10)


def test_which_blurs_are_diagonal():
    diagonal = {(b, name): Blur((1, 8, 8), k, b)._diagonal for b in BOUNDARIES for name, k in KERNELS.items()}
    assert {case for case, yes in diagonal.items() if yes} == {
        ("reflect", "symmetric"),
        ("circular", "symmetric"),
        ("circular", "even"),
        ("circular", "aslant"),
    }


@pytest.mark.parametrize("kernel", [kernels.gaussian(1.5), kernels.motion(5, 1.0, 0)])
def test_planes_beyond_the_limit_go_one_by_one(kernel, monkeypatch):
    operator, y, v = Blur((3, 8, 9), kernel), image(2, 3, 8, 9), image(2, 3, 8, 9).flip(-1)
    together = operator.forward(y), operator.prox(y, v, 0.1)
    monkeypatch.setattr(blur, "VALUES_AT_ONCE", 1)
    assert torch.allclose(operator.forward(y), together[0], atol=1e-13)
    assert torch.allclose(operator.prox(y, v, 0.1), together[1], atol=1e-13)


def test_the_start_image_does_not_amplify_noise_beyond_the_damping():
    """A Gaussian of width 2 loses all but everything of the fine detail: its Moore-Penrose inverse is noise."""
    kernel, noise = kernels.gaussian(2.0), image(1, 1, 32, 32)
    damped, exact = Blur((1, 32, 32), kernel), Blur((1, 32, 32), kernel, damping=0.0)
    assert damped.pseudoinverse(noise).norm() < 5 * noise.norm()  # 1 / (2 * 0.1)
    assert exact.pseudoinverse(noise).norm() > 1e3 * noise.norm()
    flat = torch.ones(1, 1, 32, 32, dtype=torch.float64)
    assert torch.allclose(damped.pseudoinverse(flat), flat / 1.01)


def test_an_inverse_gives_back_the_picture():
    x = image(1, 1, 9, 7)
    kernel = torch.tensor([[0.0, 0.1, 0.0], [0.15, 0.6, 0.05], [0.0, 0.1, 0.0]])
    for boundary in BOUNDARIES:
        operator = Blur((1, 9, 7), kernel, boundary, damping=0.0)
        assert torch.allclose(operator.pseudoinverse(operator.forward(x)), x, atol=1e-10)


@pytest.mark.parametrize("kernel", [kernels.gaussian(1.5), kernels.motion(9, 0.5, 1)])
def test_what_is_not_finite_stays_so(kernel):
    y, v = image(1, 1, 8, 8), image(1, 1, 8, 8)
    y[0, 0, 3, 3] = torch.nan
    assert not Blur((1, 8, 8), kernel).prox(y, v, 0.1).isfinite().all()


def test_what_is_not_a_kernel():
    for kernel, why in (
        (torch.ones(3), "h, w"),
        (torch.ones(0, 3), "h, w"),
        (torch.zeros(3, 3), "zero"),
        (torch.tensor([[1.0, torch.inf]]), "finite"),
    ):
        with pytest.raises(OperatorError, match=why):
            Blur((3, 8, 8), kernel)
    with pytest.raises(OperatorError, match="mirror"):
        Blur((3, 8, 8), torch.ones(3, 3), "mirror")
