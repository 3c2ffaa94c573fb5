"""The pixel mask against indexing."""

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.mask import Mask


def test_it_keeps_known_pixels_and_zeroes_the_others():
    observed = torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) < 0.5
    x = torch.randn(2, 3, 5, 7)
    y = Mask(observed, 3).forward(x)
    expected = torch.zeros_like(x)
    for row, column in observed.nonzero().tolist():
        expected[:, :, row, column] = x[:, :, row, column]
    assert torch.equal(y, expected)


def test_prox_pixel_by_pixel():
    observed = torch.tensor([[True, False]])
    y, v = torch.tensor([[[[3.0, 0.0]]]]), torch.tensor([[[[1.0, 7.0]]]])
    assert Mask(observed, 1).prox(y, v, 0.25).flatten().tolist() == pytest.approx([(3 + 0.25 * 1) / 1.25, 7.0])


def test_what_is_not_a_mask():
    with pytest.raises(OperatorError, match="bool"):
        Mask(torch.ones(4, 4))
    with pytest.raises(OperatorError, match="H, W"):
        Mask(torch.ones(1, 4, 4, dtype=torch.bool))
    with pytest.raises(OperatorError, match="no pixel"):
        Mask(torch.zeros(4, 4, dtype=torch.bool))
