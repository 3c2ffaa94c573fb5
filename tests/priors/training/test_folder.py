"""What a resumed run must have in common with the one it goes on with, and its log."""

import json
from pathlib import Path
from typing import Any

import pytest

from priors.training.config import TrainingError
from priors.training.folder import RunFolder
from tests.priors.training.tiny import tiny


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder(tmp_path / "run")
    folder.write_config(tiny(tmp_path, folder.path))
    folder.checkpoint.touch()
    return folder


@pytest.mark.parametrize(
    ("name", "value"),
    [("widths", (8, 32)), ("seed", 1), ("batch_pixels", 1024), ("learning_rate", 1.0), ("start_from", "natural-v0")],
)
def test_a_resume_that_would_change_the_run_is_refused_by_name(run: RunFolder, name: str, value: Any) -> None:
    with pytest.raises(TrainingError, match=f"--{name.replace('_', '-')}: the run in") as caught:
        run.check(tiny(run.path, run.path, **{name: value}))
    assert f"not {value!r}" in str(caught.value) and f"--start-from {run.prior}" in str(caught.value)
    run.checkpoint.unlink()
    run.check(tiny(run.path, run.path, **{name: value}))  # there is nothing to change yet


def test_a_resume_may_be_longer_and_elsewhere(run: RunFolder) -> None:
    run.check(tiny(Path("moved"), Path("out"), crops=900, cooldown=0.5, checkpoint_every=7, threads=3, licence="CC0"))


def test_fields_that_an_older_run_had_not_count_as_their_defaults(run: RunFolder) -> None:
    recorded = json.loads(run.config.read_text())
    for field in ("symmetries", "precision", "device", "compile", "readers", "cache_gb"):
        del recorded[field]
    run.config.write_text(json.dumps(recorded | {"bfloat16": False}))
    run.check(tiny(run.path, run.path))
    with pytest.raises(TrainingError, match="--symmetries: .* has 'dihedral', not 'none'"):
        run.check(tiny(run.path, run.path, symmetries="none"))


def test_a_checkpoint_whose_configuration_is_lost_is_a_clear_error(run: RunFolder) -> None:
    run.config.write_text("{")
    with pytest.raises(TrainingError, match="training.json, of the checkpoint beside it, cannot be read"):
        run.check(tiny(run.path, run.path))


def test_the_log_is_cut_back_to_the_checkpoint(run: RunFolder) -> None:
    assert run.resume_log(0) == []
    for step in (3, 6, 9):
        run.log_record({"step": step})
    with run.log.open("a") as file:
        file.write('{"step": 12, "lo')  # killed in the middle of a line
    assert run.resume_log(6) == [{"step": 3}, {"step": 6}]
    run.log_record({"step": 9})
    assert run.log.read_text() == '{"step": 3}\n{"step": 6}\n{"step": 9}\n'
