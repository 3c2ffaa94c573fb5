"""Two processes, with half of each batch, against one with the whole of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from priors.training.__main__ import main
from priors.training.config import TrainingError
from priors.training.processes import Processes, join_processes
from tests.priors.training.tiny import CPU, options, tiny


def test_one_process_has_everything_to_itself() -> None:
    alone = Processes(CPU)
    network = torch.nn.Linear(1, 1, bias=False)
    network(torch.ones(1, 1)).sum().backward()
    alone.average_gradients(network)
    assert network.weight.grad.item() == 1
    assert list(alone.rows(3)) == [0, 1, 2] and alone.mean(torch.tensor(2.5)) == 2.5
    assert alone.any(True) and not alone.any(False)


def test_a_batch_too_small_to_share_is_refused() -> None:
    three = Processes(CPU)
    three.count = 3
    three.check(tiny(Path("data"), Path("out"), batch_pixels=3 * 32 * 32))
    with pytest.raises(TrainingError, match="--batch-pixels 2048 has not a crop of 32 px for each of 3 processes"):
        three.check(tiny(Path("data"), Path("out"), batch_pixels=2 * 32 * 32))


def test_compilation_is_for_cuda() -> None:
    with pytest.raises(TrainingError, match="--compile is for CUDA, this is cpu"):
        join_processes(tiny(Path("data"), Path("out"), compile=True))


MEMBER = """
import glob, pathlib, sys
from priors.training.__main__ import main

main()
threads = [pathlib.Path(name).read_text() for name in glob.glob("/proc/self/task/*/comm")]
sys.exit(any("gloo" in thread for thread in threads) and "a thread of the process group is left")
"""
"""One process of the run. A thread that outlives the group can abort the process at its end."""


def launch(arguments: list[str], script: Path) -> subprocess.CompletedProcess[str]:
    script.write_text(MEMBER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [*command, str(script), *arguments],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[3])},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.slow
def test_two_processes_do_what_one_does(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("accelerate")
    # 8 crops of 16 px or 2 of 28 px a step: equal shares
    device = "cpu" if torch.cuda.is_available() else "auto"
    changes = {"crop_sizes": (16, 28), "batch_pixels": 2048, "device": device}
    main(options(pictures, tmp_path / "one", **changes))
    run = launch(options(pictures, tmp_path / "two", **changes), tmp_path / "member.py")
    assert run.returncode == 0, run.stderr
    one, two = (torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two"))
    assert one["step"] == two["step"] == 6
    for key, value in one["unet"].items():
        torch.testing.assert_close(two["unet"][key], value, rtol=1e-3, atol=2e-5)
    logs = [(tmp_path / name / "loss.jsonl").read_text().splitlines() for name in ("one", "two")]
    records = [[json.loads(line) for line in lines] for lines in logs]
    assert [len(lines) for lines in records] == [2, 2]  # one process writes
    for mine, other in zip(*records, strict=True):
        assert other["loss"] == pytest.approx(mine["loss"], abs=1e-4)
        assert other["validation_loss"] == pytest.approx(mine["validation_loss"], abs=1e-4)
    assert "on 2 x cpu in float32" in run.stdout and run.stdout.count("photographs ") == 1
