"""Which photographs a run learns from, and which it keeps out."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from priors.training.config import TrainingError
from priors.training.data import gather
from tests.priors.training.tiny import tiny


def test_every_nth_is_kept_out(pictures: Path, tmp_path: Path) -> None:
    data = gather(tiny(pictures, tmp_path))
    assert (data.count, data.held_out_count) == (3, 1)
    assert data.decoded_bytes == 3 * 96 * 80 * 3


def test_a_folder_without_photographs_is_a_clear_error(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has 0 photographs that can be used: at least 2"):
        gather(tiny(tmp_path, tmp_path))
    with pytest.raises(TrainingError, match="is no folder"):
        gather(tiny(tmp_path / "nowhere", tmp_path))
    with pytest.raises(TrainingError, match="--crop-sizes 96: no photograph is larger than 80 px"):
        gather(tiny(pictures, tmp_path, crop_sizes=(16, 96), batch_pixels=96 * 96))


def test_what_is_too_small_or_broken_is_left_out_and_said(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "data"
    shutil.copytree(pictures, folder)
    expected = gather(tiny(folder, tmp_path))
    Image.new("RGB", (200, 12)).save(folder / "strip.png")
    (folder / "broken.jpg").write_text("no picture")
    found = gather(tiny(folder, tmp_path))
    assert (found.count, found.digest) == (expected.count, expected.digest)
    messages = " ".join(record.message for record in caplog.records)
    assert "1 of 6 pictures skipped" in messages and "1 of 5 pictures are smaller than 16 px" in messages


def test_the_digest_is_of_the_photographs_not_of_their_place(pictures: Path, tmp_path: Path) -> None:
    shutil.copytree(pictures, tmp_path / "moved")
    assert gather(tiny(tmp_path / "moved", tmp_path)).digest == gather(tiny(pictures, tmp_path)).digest
    (tmp_path / "moved" / "3.png").rename(tmp_path / "moved" / "4.png")
    assert gather(tiny(tmp_path / "moved", tmp_path)).digest != gather(tiny(pictures, tmp_path)).digest
