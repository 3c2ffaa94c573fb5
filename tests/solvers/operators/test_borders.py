"""What lies beyond the edge, and its transpose."""

import pytest
import torch

from solvers.operators.borders import BOUNDARIES, extend, fold


@pytest.mark.parametrize(
    ("boundary", "expected"),
    [
        ("reflect", [3, 3, 2, 1, 1, 2, 3, 3, 2, 1, 1]),
        ("circular", [3, 1, 2, 3, 1, 2, 3, 1, 2, 3, 1]),
        ("zero", [0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 0]),
    ],
)
def test_a_margin_wider_than_the_picture(boundary, expected):
    assert extend(torch.tensor([[1.0, 2.0, 3.0]]), -1, 4, boundary)[0].tolist() == expected


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("axis", [-1, -2])
@pytest.mark.parametrize("margin", [0, 1, 3, 9])
def test_fold_is_the_transpose(boundary, axis, margin):
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(2, 3, 4, generator=rng, dtype=torch.float64)
    extended = extend(x, axis, margin, boundary)
    y = torch.randn(extended.shape, generator=rng, dtype=torch.float64)
    assert extended.shape[axis] == x.shape[axis] + 2 * margin
    assert float((extended * y).sum()) == pytest.approx(float((x * fold(y.clone(), axis, margin, boundary)).sum()))
