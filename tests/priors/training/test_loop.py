"""Whole runs: unbroken, stopped, killed, resumed, made longer; and what they leave in their folder."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event

import pytest
import torch

from priors.card import card
from priors.store import WEIGHTS, load_prior
from priors.training.config import TrainingError
from priors.training.loop import train
from tests.priors.training.tiny import CPU, tiny, training_of


class StopAfter(Event):
    """Set once it has been looked at `steps` times."""

    def __init__(self, steps: int):
        super().__init__()
        self.left = steps

    def is_set(self) -> bool:
        self.left -= 1
        return self.left <= 0


def records(run: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (run / "loss.jsonl").read_text().splitlines()]


def weights(run: Path) -> bytes:
    return (run / "prior" / WEIGHTS).read_bytes()


def test_a_run_leaves_records_curves_and_a_prior(unbroken: Path) -> None:
    assert [record["step"] for record in records(unbroken)] == [3, 6]
    assert {"step", "loss", "validation_loss", "validation_psnr", "crops_per_s", "minutes_left"} == set(
        records(unbroken)[0]
    )
    assert json.loads((unbroken / "curves.json").read_text())["step"] == [3, 6]
    assert json.loads((unbroken / "training.json").read_text())["widths"] == [8, 16]
    prior = load_prior(unbroken, "prior", CPU)
    assert (prior.info.multiple_of, prior.info.native_size) == (4, 32)
    assert (prior.info.sigma_min, prior.info.sigma_max) == (0.005, 80.0)
    assert (prior.info.licence, prior.info.symmetries) == ("public domain", "dihedral")
    sigma = torch.tensor([0.005, 0.3, 80.0])
    x = sigma.reshape(-1, 1, 1, 1) * torch.randn(3, 3, 20, 12, generator=torch.Generator().manual_seed(0))
    answer = prior.denoise(x, sigma)
    assert answer.isfinite().all()
    assert answer[2].abs().max() < 5  # at 80, c_skip leaves next to nothing of the noise
    torch.testing.assert_close(answer[0], x[0], rtol=0, atol=0.05)


def test_a_stopped_run_resumes_to_the_bit(pictures: Path, unbroken: Path, tmp_path: Path) -> None:
    assert not train(tiny(pictures, tmp_path), StopAfter(2))
    assert [record["step"] for record in records(tmp_path)] == [2]
    assert load_prior(tmp_path, "prior", CPU).info.licence == "public domain"  # to be tried before the end
    torch.manual_seed(99)
    assert train(tiny(pictures, tmp_path))
    assert weights(tmp_path) == weights(unbroken)
    assert [record["step"] for record in records(tmp_path)] == [2, 3, 6]
    for key in ("loss", "validation_loss", "validation_psnr"):
        assert records(tmp_path)[2][key] == records(unbroken)[1][key]


KILLED = """
import sys
from pathlib import Path
from priors.training.folder import RunFolder
from tests.priors.training.tiny import tiny, training_of
config = tiny(Path(sys.argv[1]), Path(sys.argv[2]))
training, run = training_of(config), RunFolder(Path(sys.argv[2]))
run.write_config(config)
for _ in range(3):
    training.advance()
while True:
    training.save(run.checkpoint)
"""


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_a_checkpoint_resumes_to_the_bit(
    pictures: Path, unbroken: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(pictures), str(run)], cwd=Path(__file__).parents[3]
    ) as old:
        while not ((run / "checkpoint.pt").exists() and (run / "checkpoint.tmp").exists()):
            assert old.poll() is None
            time.sleep(0.001)
        os.kill(old.pid, signal.SIGKILL)
    with (run / "loss.jsonl").open("w") as file:
        file.write('{"step": 6, "loss": 0.1}\n{"step": 9, "lo')  # of steps that are lost with the process
    assert train(tiny(pictures, run))
    assert weights(run) == weights(unbroken)
    assert [record["step"] for record in records(run)] == [6]
    assert records(run)[0]["validation_loss"] == records(unbroken)[1]["validation_loss"]


def test_a_finished_run_only_exports_again_and_may_go_on(pictures: Path, unbroken: Path, tmp_path: Path) -> None:
    assert train(tiny(pictures, tmp_path))
    log = (tmp_path / "loss.jsonl").read_text()
    (tmp_path / "prior" / WEIGHTS).unlink()
    assert train(tiny(pictures, tmp_path))
    assert weights(tmp_path) == weights(unbroken)
    assert (tmp_path / "loss.jsonl").read_text() == log
    assert train(tiny(pictures, tmp_path, crops=4, licence="CC0-1.0"))
    assert [record["step"] for record in records(tmp_path)] == [3, 6, 8]
    assert load_prior(tmp_path, "prior", CPU).info.licence == "CC0-1.0"
    with pytest.raises(TrainingError, match="--crops 3: the run has made 8 steps, not 6"):
        train(tiny(pictures, tmp_path))


def test_a_dry_run_says_what_it_will_cost_and_writes_nothing(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not train(tiny(pictures, tmp_path / "run"), dry_run=True)
    assert not (tmp_path / "run").exists()
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines]
    assert names == ["photographs", "network", "run", "speed", "memory", "disk"]


def test_a_gradient_that_is_not_finite_ends_the_run_before_its_checkpoint(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="is not finite: try a lower --learning-rate"):
        train(tiny(pictures, tmp_path, learning_rate=1e30))
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_run_of_an_older_version_resumes_and_has_a_card(pictures: Path, tmp_path: Path) -> None:
    """It wrote another configuration, records without PSNR, and a checkpoint of four entries."""
    config = tiny(pictures, tmp_path)
    training = training_of(config)
    for _ in range(3):
        training.advance()
    training.save(tmp_path / "checkpoint.pt")
    state = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    torch.save({k: state[k] for k in ("step", "unet", "average", "optimiser")}, tmp_path / "checkpoint.pt")
    newer = ("symmetries", "precision", "device", "compile", "readers", "cache_gb")
    fields = {key: value for key, value in vars(config).items() if key not in newer} | {"bfloat16": False}
    (tmp_path / "training.json").write_text(json.dumps(fields))
    old = {"step": 3, "loss": 0.9, "validation_loss": 0.8, "crops_per_s": 8.5, "minutes_left": 115.0}
    (tmp_path / "loss.jsonl").write_text(json.dumps(old) + "\n")
    training.export(tmp_path / "prior")
    assert "3 steps at 8.5 crops" in card(tmp_path / "prior", tmp_path)

    assert train(config)
    assert json.loads((tmp_path / "curves.json").read_text())["validation_psnr"]["25"][0] is None
    assert records(tmp_path)[0] == old
    text = card(tmp_path / "prior", tmp_path)
    assert "6 steps at" in text and str(tmp_path) not in text and str(pictures) not in text
