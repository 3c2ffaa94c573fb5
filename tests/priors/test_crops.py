"""The stream of training crops: a function of (seed, index, row), in range, cut and shrunk without aliasing."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from priors.crops import Crops, shrink
from priors.photographs import NoPhotograph, Photograph, photographs, survey


@pytest.fixture
def found(tmp_path: Path) -> list[Photograph]:
    rng = np.random.default_rng(0)
    for name, size in {"b.png": (90, 120), "a.png": (64, 64), "c.png": (40, 33)}.items():
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
    return survey(photographs(tmp_path))


def picture(folder: Path, pixels: np.ndarray) -> list[Photograph]:
    Image.fromarray(pixels).save(folder / "picture.png")
    return survey([folder / "picture.png"])


def test_a_crop_is_a_function_of_seed_index_and_row(found: list[Photograph]) -> None:
    first, second = Crops(found, 0.4, seed=3), Crops(found, 0.4, seed=3, capacity=0)
    for index in range(4):
        first.batch(index, range(2), 32)
    whole = second.batch(7, range(5), 32)
    assert torch.equal(first.batch(7, range(5), 32), whole)
    assert torch.equal(first.batch(7, range(1, 5, 2), 32), whole[1::2])
    assert not torch.equal(whole[0], whole[1])
    assert not torch.equal(whole, first.batch(8, range(5), 32))
    assert not torch.equal(whole, Crops(found, 0.4, seed=4).batch(7, range(5), 32))


@pytest.mark.parametrize("size", [16, 48, 90])
def test_shape_and_range(found: list[Photograph], size: int) -> None:
    batch = Crops(found, 0.4, seed=0).batch(0, range(6), size)
    assert batch.shape == (6, 3, size, size) and batch.dtype == torch.float32
    assert batch.min() >= -1 and batch.max() <= 1 and batch.std() > 0.05


def test_a_photograph_smaller_than_the_crop_is_not_enlarged(tmp_path: Path) -> None:
    Image.new("RGB", (40, 60), "white").save(tmp_path / "small.png")
    Image.new("RGB", (60, 50), "black").save(tmp_path / "large.png")
    crops = Crops(survey(photographs(tmp_path)), 0.4, seed=0)
    assert set(crops.batch(0, range(32), 40).mean(dim=(1, 2, 3)).tolist()) == {-1.0, 1.0}
    assert crops.batch(0, range(32), 44).max() == -1
    with pytest.raises(NoPhotograph, match="at least 64 x 64 px"):
        crops.batch(0, range(1), 64)


def test_an_unreadable_photograph_is_replaced_always_by_the_same(found: list[Photograph]) -> None:
    content = found[1].path.read_bytes()
    found[1].path.write_bytes(content[: len(content) // 2])
    first, second = Crops(found, 0.4, seed=0), Crops(found, 0.4, seed=0)
    batches = [first.batch(index, range(4), 32) for index in range(4)]
    assert torch.equal(second.batch(3, range(4), 32), batches[3])  # also by who has not met it yet
    for photograph in found:
        photograph.path.write_bytes(b"")
    with pytest.raises(NoPhotograph):
        Crops(found, 0.4, seed=0).batch(0, range(1), 32)


def test_at_full_scale_a_crop_is_a_piece_of_the_picture(tmp_path: Path) -> None:
    """Red counts the rows and green the columns: each crop must hold `size` neighbouring values of both, each once."""
    rows, columns = np.mgrid[:100, :120]
    pixels = np.stack([rows * 2, columns * 2, rows * 0], axis=-1).astype(np.uint8)
    batch = Crops(picture(tmp_path, pixels), min_scale=1.0, seed=0).batch(0, range(16), 24)
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


@pytest.mark.parametrize(("symmetries", "count"), [("none", 1), ("mirror", 2), ("dihedral", 8)])
def test_crops_are_varied_under_the_symmetries_alone(tmp_path: Path, symmetries: str, count: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)  # the one crop that there is
    batch = Crops(picture(tmp_path, pixels), 1.0, seed=0, symmetries=symmetries).batch(0, range(64), 16)
    upright = torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1
    allowed = [upright, upright.flip(-1)][: count if count < 8 else 2]
    allowed = [x.rot90(turns, (1, 2)) for x in allowed for turns in range(4 if count == 8 else 1)]
    seen = {next(i for i, x in enumerate(allowed) if torch.equal(x, crop)) for crop in batch}
    assert seen == set(range(count))


@pytest.mark.parametrize("factor", [2, 2.5, 5])
def test_a_fine_checkerboard_shrinks_to_grey_without_moire(factor: float) -> None:
    """Taking every other pixel would keep black and white, or beat against the board."""
    board = (np.indices((400, 400)).sum(0) % 2 * 255).astype(np.uint8)
    small = shrink(np.repeat(board[..., None], 3, axis=-1), 20, 30, round(64 * factor), 64)
    assert np.abs(small.astype(float) - 127.5).max() < 6


def test_the_filter_reaches_beyond_the_square() -> None:
    """A crop is what shrinking the whole picture first and cutting then would give."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (300, 260, 3), dtype=np.uint8)
    whole = np.asarray(Image.fromarray(pixels).resize((130, 150), Image.Resampling.LANCZOS))
    part = shrink(pixels, 40, 60, 128, 64)
    np.testing.assert_allclose(part.astype(int), whole[30:94, 20:84].astype(int), atol=1)


def test_photographs_are_shrunk_down_to_the_smallest_scale(tmp_path: Path) -> None:
    """A ramp of one level a pixel: its slope in the crop is the factor of shrinking, log-uniform in [1, 1 / 0.4]."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 256, axis=0).repeat(3, axis=-1)
    batch = Crops(picture(tmp_path, ramp), 0.4, seed=0, symmetries="none").batch(0, range(200), 64)
    factors = (batch[:, 0, 32, 48] - batch[:, 0, 32, 16]) * 127.5 / 32
    assert 0.95 < factors.min() < 1.1 and 2.3 < factors.max() < 2.6
    assert factors.log().mean().item() == pytest.approx(np.log(2.5) / 2, abs=0.08)
