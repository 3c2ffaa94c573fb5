import pytest
import torch

from solvers.interpolation import interpolate, interpolate_within

XS, YS = torch.tensor([0.0, 1.0, 3.0]), torch.tensor([2.0, 4.0, 0.0])


@pytest.mark.parametrize(
    ("at", "line", "within"),
    [(0.0, 2, 2), (0.5, 3, 3), (1.0, 4, 4), (2.0, 2, 2), (3.0, 0, 0), (4.0, -2, 0), (-1, 0, 2)],
)
def test_between_points_and_beyond(at, line, within):
    place = torch.tensor([[at]])
    assert interpolate(place, XS, YS).tolist() == [[line]]
    assert interpolate_within(place, XS, YS).tolist() == [[within]]


def test_points_that_coincide_and_a_single_one():
    assert interpolate(torch.tensor([1.0]), torch.ones(3), torch.full((3,), 5.0)).tolist() == [5.0]
    assert interpolate_within(torch.tensor([7.0, 0.0]), XS[:1], YS[:1]).tolist() == [2.0, 2.0]
