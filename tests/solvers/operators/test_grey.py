"""Colourisation against its formula."""

import pytest
import torch

from solvers.operators.base import OperatorError
from solvers.operators.grey import Grey


def test_the_mean_of_the_channels():
    x = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    grey = Grey((3, 4, 5))
    assert grey.output_shape == (1, 4, 5)
    assert torch.allclose(grey.forward(x)[:, 0], (x[:, 0] + x[:, 1] + x[:, 2]) / 3, atol=1e-15)


def test_prox_moves_all_channels_alike():
    v = torch.tensor([1.0, 2.0, 6.0], dtype=torch.float64).reshape(1, 3, 1, 1)
    y = torch.zeros(1, 1, 1, 1, dtype=torch.float64)
    # v + H^T (y - H v) / (1/3 + rho), H v being 3
    expected = v - (1 / 3) / (1 / 3 + 0.5) * 3
    assert torch.allclose(Grey((3, 1, 1)).prox(y, v, 0.5), expected)


def test_only_colours_turn_grey():
    with pytest.raises(OperatorError, match="1 channels"):
        Grey((1, 4, 4))
