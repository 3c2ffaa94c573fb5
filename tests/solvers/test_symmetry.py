"""Mirrors and turns of the grid."""

import pytest
import torch

from solvers.symmetry import SYMMETRIES, apply, undo


@pytest.mark.parametrize("name", SYMMETRIES)
def test_what_is_applied_can_be_undone(name):
    x = torch.randn(2, 3, 4, 6)
    assert all(torch.equal(undo(apply(x, element), element), x) for element in SYMMETRIES[name])


def test_the_dihedral_group_is_complete():
    """Eight different pictures: the four turns of the picture and of its mirror image."""
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    seen = {tuple(apply(x, element).flatten().tolist()) for element in SYMMETRIES["dihedral"]}
    turned = {tuple(torch.rot90(z, k, (-2, -1)).flatten().tolist()) for z in (x, x.flip(-1)) for k in range(4)}
    assert seen == turned
    assert len(SYMMETRIES["dihedral"]) == 8


def test_mirror_is_left_and_right():
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    pictures = [apply(x, element) for element in SYMMETRIES["mirror"]]
    assert torch.equal(pictures[0], x)
    assert torch.equal(pictures[1], x.flip(-1))


def test_a_transposed_picture_changes_its_sides():
    shapes = {apply(torch.zeros(1, 1, 4, 6), element).shape[-2:] for element in SYMMETRIES["dihedral"]}
    assert shapes == {(4, 6), (6, 4)}
    assert all(apply(torch.zeros(1, 1, 4, 6), element).shape == (1, 1, 4, 6) for element in SYMMETRIES["mirror"])


def test_doing_nothing_copies_nothing():
    x = torch.zeros(1, 1, 4, 6)
    assert apply(x, 0).data_ptr() == undo(x, 0).data_ptr() == x.data_ptr()
