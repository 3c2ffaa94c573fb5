"""Tiles cover a picture, overlap, and blend back to it."""

import pytest
import torch

from solvers.tiles import blend, tiles


@pytest.mark.parametrize("size", [(1, 1), (7, 40), (16, 16), (17, 33), (100, 64)])
def test_tiles_blend_to_the_picture(size):
    x = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    parts = tiles(*size, 16, 5)
    assert torch.allclose(blend([(tile, tile.of(x)) for tile in parts], x), x, atol=1e-14)
    for tile in parts:
        assert tile.of(x).shape[-2:] == (min(16, size[0]), min(16, size[1])) == tuple(tile.weights.shape)


def test_neighbours_share_the_overlap_at_least():
    starts = sorted({tile.columns.start for tile in tiles(16, 50, 16, 5)})
    assert starts[0] == 0 and starts[-1] == 50 - 16
    assert all(0 < after - before <= 16 - 5 for before, after in zip(starts, starts[1:], strict=False))


def test_a_picture_of_one_tile_is_not_touched():
    (tile,) = tiles(16, 12, 16, 5)
    assert torch.equal(tile.weights, torch.ones(16, 12, dtype=torch.float64))


def test_a_border_is_a_ramp():
    """What tiles disagree about goes over from one to the other without a jump."""
    parts = tiles(1, 28, 16, 4)
    mixed = blend([(tile, torch.full((1, 16), float(number))) for number, tile in enumerate(parts)], torch.zeros(1, 28))
    assert (mixed.diff() >= 0).all() and float(mixed.diff().max()) < 0.5
    assert float(mixed[0, 0]) == 0 and float(mixed[0, -1]) == 1


@pytest.mark.parametrize("overlap", [-1, 16])
def test_tiles_cannot_share_all(overlap):
    with pytest.raises(ValueError, match="16 pixels"):
        tiles(40, 40, 16, overlap)
