"""Holes: what is lost, where, and that a seed decides it."""

import pytest
import torch

from solvers.operators import holes
from solvers.operators.base import OperatorError
from solvers.operators.mask import Mask

SIZES = [(64, 96), (13, 7), (200, 40)]


@pytest.mark.parametrize("missing", [0.1, 0.5, 0.92])
def test_random_pixels(missing):
    observed = holes.random_pixels(100, 150, missing, 0)
    assert (observed.shape, observed.dtype) == ((100, 150), torch.bool)
    assert 1 - float(observed.float().mean()) == pytest.approx(missing, abs=0.02)
    assert observed.any(0).sum() > 140  # all over the picture


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("missing", [0.05, 0.25, 0.6])
def test_free_form_loses_the_fraction_and_at_most_a_stroke_more(height, width, missing):
    observed = holes.free_form(height, width, missing, 3)
    lost = 1 - float(observed.float().mean())
    assert observed.shape == (height, width)
    assert missing <= lost < missing + 0.5
    assert Mask(observed, 1).input_shape == (1, height, width)


def test_free_form_holes_are_strokes():
    """Most of what is lost lies inside: its four neighbours are lost too."""
    lost = ~holes.free_form(128, 128, 0.25, 1)
    inside = lost[1:-1, 1:-1] & lost[:-2, 1:-1] & lost[2:, 1:-1] & lost[1:-1, :-2] & lost[1:-1, 2:]
    assert inside.sum() > 0.6 * lost.sum()


def test_a_stroke_is_every_pixel_within_the_brush():
    observed = torch.ones(9, 12, dtype=torch.bool)
    newly = holes._stroke(observed, (2.0, 1.0), (5.0, 9.0), 1.6)
    for i in range(9):
        for j in range(12):
            share = min(1, max(0, ((i - 2) * 3 + (j - 1) * 8) / 73))
            distance = ((i - 2 - 3 * share) ** 2 + (j - 1 - 8 * share) ** 2) ** 0.5
            assert bool(observed[i, j]) == (distance > 1.6)
    assert newly == (~observed).sum()
    assert holes._stroke(observed, (2.0, 1.0), (5.0, 9.0), 1.6) == 0  # known no more
    assert holes._stroke(observed, (-20.0, 3.0), (-30.0, 4.0), 1.6) == 0


@pytest.mark.parametrize("make", [holes.random_pixels, holes.free_form])
def test_the_seed_decides(make):
    assert torch.equal(make(30, 40, 0.3, 5), make(30, 40, 0.3, 5))
    assert not torch.equal(make(30, 40, 0.3, 5), make(30, 40, 0.3, 6))


def test_box_in_the_middle_and_elsewhere():
    lost = (~holes.box(10, 8, 4, 2)).nonzero()
    assert (lost.min(0).values.tolist(), lost.max(0).values.tolist(), len(lost)) == ([3, 3], [6, 4], 8)
    lost = (~holes.box(10, 8, 4, 5, top=0, left=6)).nonzero()
    assert (lost.min(0).values.tolist(), lost.max(0).values.tolist(), len(lost)) == ([0, 6], [3, 7], 8)


def test_what_is_no_hole():
    for measures in ((0, 2), (2, 2, 10, 0), (2, 2, 0, -1)):
        with pytest.raises(OperatorError, match="no hole"):
            holes.box(10, 8, *measures)
    for missing in (0.0, 1.0, float("nan")):
        with pytest.raises(OperatorError, match="between 0 and 1"):
            holes.random_pixels(4, 4, missing, 0)
        with pytest.raises(OperatorError, match="between 0 and 1"):
            holes.free_form(4, 4, missing, 0)
