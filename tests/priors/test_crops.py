"""The stream of training crops: a function of (seed, index), in range, cut and shrunk without aliasing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from priors.crops import Crops, photographs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "deep").mkdir()
    for name, size in {"b.png": (90, 120), "a.JPG": (64, 64), "deep/c.webp": (40, 33)}.items():
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_finds_pictures_below_in_a_fixed_order(folder: Path) -> None:
    assert photographs(folder) == [folder / "a.JPG", folder / "b.png", folder / "deep" / "c.webp"]


def test_a_batch_is_a_function_of_seed_and_index(folder: Path) -> None:
    paths = photographs(folder)
    first, second = Crops(paths, 0.4, seed=3), Crops(paths, 0.4, seed=3)
    for index in range(4):
        first.batch(index, 2, 32)
    assert torch.equal(first.batch(7, 3, 32), second.batch(7, 3, 32))
    assert not torch.equal(first.batch(7, 3, 32), first.batch(8, 3, 32))
    assert not torch.equal(first.batch(7, 3, 32), Crops(paths, 0.4, seed=4).batch(7, 3, 32))


@pytest.mark.parametrize("size", [16, 48, 100])
def test_shape_and_range_also_of_pictures_smaller_than_the_crop(folder: Path, size: int) -> None:
    batch = Crops(photographs(folder), 0.4, seed=0).batch(0, 6, size)
    assert batch.shape == (6, 3, size, size) and batch.dtype == torch.float32
    assert batch.min() >= -1 and batch.max() <= 1 and batch.std() > 0.05


def test_at_full_scale_a_crop_is_a_piece_of_the_picture(tmp_path: Path) -> None:
    """Red counts the rows and green the columns: each crop must hold `size` neighbouring values of both, each once."""
    rows, columns = np.mgrid[:100, :120]
    pixels = np.stack([rows * 2, columns * 2, rows * 0], axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "grid.png")
    batch = Crops([tmp_path / "grid.png"], min_scale=1.0, seed=0).batch(0, 16, 24)
    positions = set()
    for crop in ((batch + 1) * 127.5).round():
        for channel in crop[:2]:
            values = channel.unique()
            assert torch.equal(values.diff(), torch.full((23,), 2.0))
            same_rows, same_columns = (channel == channel[:, :1]).all(), (channel == channel[:1]).all()
            assert same_rows != same_columns
        assert len(crop[:2].flatten(1).unique(dim=1).T) == 24 * 24
        positions.add(tuple(crop[:2, 0, 0].tolist()))
    assert len(positions) > 8


def test_shrinking_averages_instead_of_skipping_pixels(tmp_path: Path) -> None:
    """A checkerboard of single pixels, shrunk to half, is grey; taking every other pixel would keep black and white."""
    board = (np.indices((128, 128)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).convert("RGB").save(tmp_path / "board.png")
    # a minimal scale near zero leaves the scale that makes the whole picture fill the crop: 64 / 128
    batch = Crops([tmp_path / "board.png"], min_scale=1e-9, seed=0).batch(0, 8, 64)
    assert batch[:, :, 8:-8, 8:-8].abs().amax(dim=(1, 2, 3)).median() < 0.1
