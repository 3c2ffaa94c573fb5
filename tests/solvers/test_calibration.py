"""Numbers that turn a spread into a deviation, and the file that they lie in."""

import pytest
import torch

from solvers.calibration import (
    DEFAULTS,
    FILE,
    Calibration,
    read_calibrations,
    write_calibrations,
)

MEASURED = {"inpaint": Calibration(1.5), "super_resolution": Calibration(0.7, 0.4)}


def test_the_scale_grows_with_the_gap():
    spread = torch.tensor([0.1, 0.2])
    assert torch.allclose(Calibration(0.5, 0.5).apply(spread, 16.0), 2 * spread)
    assert torch.allclose(Calibration(0.5, 1.0).apply(spread, torch.tensor([2.0, 4.0])), torch.tensor([0.1, 0.4]))
    assert torch.equal(Calibration().apply(spread, 16.0), spread)


def test_nothing_is_less_certain_than_a_value_that_may_be_anything():
    anything = torch.linspace(-1, 1, 100001).std()
    assert float(Calibration(100.0).apply(torch.tensor(0.5))) == pytest.approx(float(anything), rel=1e-3)


def test_what_is_written_is_read_as_measured(tmp_path):
    write_calibrations(tmp_path, "abc", MEASURED)
    assert read_calibrations(tmp_path, "abc")["inpaint"] == Calibration(1.5, 0.0, measured=True)
    assert read_calibrations(tmp_path, "abc")["super_resolution"] == Calibration(0.7, 0.4, measured=True)


def test_a_prior_that_nobody_measured_has_defaults(tmp_path):
    assert read_calibrations(tmp_path, "abc")["inpaint"] == DEFAULTS["inpaint"]
    assert "restore" not in read_calibrations(tmp_path, "abc")
    assert not read_calibrations(tmp_path, "abc")["inpaint"].measured


def test_numbers_of_other_weights_or_of_other_tasks_do_not_count(tmp_path):
    write_calibrations(tmp_path, "abc", MEASURED)
    assert read_calibrations(tmp_path, "other")["inpaint"] == DEFAULTS["inpaint"]
    assert read_calibrations(tmp_path, "abc")["denoise"] == DEFAULTS["denoise"]


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"sha256": "abc", "tasks": {"inpaint": {"scale": "much"}}}'])
def test_a_damaged_file_is_an_error(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ValueError, match=FILE):
        read_calibrations(tmp_path, "abc")["inpaint"]
