"""Gaussian windows, against the sum that they are."""

import pytest
import torch

from solvers.window import gaussian_sums


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (40, 7)])
@pytest.mark.parametrize("width", [1.0, 4.0])
def test_every_pixel_counts_by_its_distance_up_to_three_widths(size, width):
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    down, across = (
        torch.exp(-0.5 * (difference / width) ** 2) * (difference.abs() <= 3 * width)
        for difference in (torch.arange(n)[:, None] - torch.arange(n) for n in size)
    )
    expected = down.double() @ x @ across.double()
    assert torch.allclose(gaussian_sums(x, width), expected, rtol=1e-5)
