"""Phase retrieval: sizes, what the modulus leaves open, and how far its start gets."""

import math

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.phase import PhaseRetrieval


def picture(*shape: int) -> torch.Tensor:
    """White discs on grey, as in diffraction: small in a wide frame."""
    rows, columns = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in shape[-2:]), indexing="ij")
    x = torch.zeros(shape, dtype=torch.float64)
    for row, column, radius, value in ((5, 4, 3, 0.9), (11, 12, 5, -0.5), (6, 14, 2, 0.4)):
        x = torch.where((rows - row) ** 2 + (columns - column) ** 2 < radius**2, value, x)
    return x + 0.02 * torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_sizes():
    assert PhaseRetrieval((3, 256, 256)).output_shape == (3, 384, 384)  # 2.25 values a pixel
    assert PhaseRetrieval((1, 9, 14), 4.0).output_shape == (1, 9 + 2 * 4, 14 + 2 * 7)
    assert PhaseRetrieval((1, 9, 14), 0).output_shape == (1, 9, 14)


def test_the_modulus_does_not_tell_sign_and_half_turn():
    operator, x = PhaseRetrieval((3, 9, 14)), picture(2, 3, 9, 14)
    y = operator.forward(x)
    assert torch.allclose(operator.forward(-x), y, atol=1e-13)
    assert torch.allclose(operator.forward(x.flip(-1, -2)), y, atol=1e-13)


def test_energy_is_kept_and_zero_frequency_is_in_the_centre():
    operator, x = PhaseRetrieval((1, 8, 12)), picture(1, 1, 8, 12)
    y = operator.forward(x)
    assert float(y.norm()) == pytest.approx(float(x.norm()))
    assert float(y[0, 0, 6, 9]) == pytest.approx(abs(float(x.sum())) / math.sqrt(12 * 18))


def test_a_frequency_of_modulus_zero_gives_no_gradient():
    operator = PhaseRetrieval((1, 6, 6))
    gradient = operator.pull_back(torch.zeros(1, 1, 6, 6), torch.ones(1, *operator.output_shape))
    assert torch.equal(gradient, torch.zeros(1, 1, 6, 6))


def test_start_is_no_inverse_but_fits_and_its_channels_agree():
    operator, x = PhaseRetrieval((3, 17, 19), 4.0), picture(1, 3, 17, 19)
    start = operator.start(operator.forward(x))
    residual = (operator.forward(start) - operator.forward(x)).norm() / x.norm()
    assert residual < 0.15
    likeness = (start * start[:, :1]).sum((-1, -2))
    assert (likeness > 0).all()
    assert (likeness >= (start.flip(-1, -2) * start[:, :1]).sum((-1, -2))).all()


@pytest.mark.parametrize("oversampling", [-1.0, math.nan, math.inf])
def test_bad_oversampling(oversampling):
    with pytest.raises(OperatorError, match="oversampling"):
        PhaseRetrieval((3, 4, 4), oversampling)
