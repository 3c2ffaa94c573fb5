"""The columns and the picture of a run's records."""

import json
import logging
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from priors.training import curves
from priors.training.curves import columns, write_curves

OLD = {"step": 5, "loss": 0.9, "validation_loss": 0.8, "crops_per_s": 8.0, "minutes_left": 1.0}
NEW = [OLD | {"step": step, "validation_psnr": {"5": 30.0 + step, "255": 10.0}} for step in (10, 15)]


@pytest.fixture(autouse=True)
def forget() -> None:
    curves._figure.cache_clear()


def test_columns_have_a_gap_where_nothing_was_recorded() -> None:
    assert columns([OLD, *NEW]) == {
        "step": [5, 10, 15],
        "loss": [0.9] * 3,
        "validation_loss": [0.8] * 3,
        "validation_psnr": {"5": [None, 40.0, 45.0], "255": [None, 10.0, 10.0]},
    }


@pytest.mark.parametrize("records", [[OLD], [OLD, *NEW], NEW])
def test_a_picture_is_drawn(tmp_path: Path, records: list[dict[str, object]]) -> None:
    pytest.importorskip("matplotlib")
    write_curves(tmp_path, records)
    assert json.loads((tmp_path / "curves.json").read_text()) == columns(records)
    pixels = np.asarray(Image.open(tmp_path / "curves.png").convert("RGB"))
    assert pixels.shape == (400, 1100, 3) and len(np.unique(pixels.reshape(-1, 3), axis=0)) > 10
    assert {path.name for path in tmp_path.iterdir()} == {"curves.json", "curves.png"}


def test_without_matplotlib_there_is_no_picture_and_one_word_about_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as Python itself marks what cannot be imported
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            write_curves(tmp_path, NEW)
    assert {path.name for path in tmp_path.iterdir()} == {"curves.json"}
    (record,) = caplog.records
    assert "rediffuse[training]" in record.message
