"""A batch that is really killed, or interrupted, in the middle, as a process of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.fake_service import FakeService

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120
"""For one process, on a machine that has other things to do: only one that hangs comes near it."""
pytestmark = pytest.mark.timeout(4 * PATIENCE_S)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six pictures: the jobs of three end at once, those of the others when the gate opens."""
    source = tmp_path / "in"
    source.mkdir()
    for number in range(3):
        (source / f"{number}-quick.png").write_bytes(b"quick %d" % number)
        (source / f"{number}-slow.png").write_bytes(b"slow %d" % number)
    return source


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """A run of the tests in the background of a script ignores interrupts, and its children would inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def start(service: FakeService, source: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "client", "batch", "denoise", str(source), str(source.parent / "out")]
    environment = os.environ | {"REDIFFUSE_URL": service.url, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def statuses(source: Path) -> list[str]:
    path = source.parent / "out" / "manifest.json"
    return sorted(entry["status"] for entry in json.loads(path.read_text())["files"]) if path.exists() else []


def run_to_the_middle(service: FakeService, source: Path) -> subprocess.Popen:
    service.gate.clear()
    service.hold = b"slow"
    process = start(service, source)
    while statuses(source) != ["done"] * 3 + ["submitted"] * 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    return process


def finish(service: FakeService, source: Path) -> str:
    service.gate.set()
    process = start(service, source)
    output, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output + errors
    return output


def check(service: FakeService, source: Path, before: dict[Path, int]) -> None:
    """Nothing was sent twice, nothing was fetched twice, everything is there."""
    assert service.count("POST", "/v1/denoise") == len(service.jobs) == 6
    assert {path: path.stat().st_mtime_ns for path in before} == before
    results = {path.name: path.read_bytes() for path in (source.parent / "out").glob("*.png")}
    assert results == {path.name: b"restored " + path.read_bytes() for path in source.iterdir()}
    assert service.count("GET", "/v1/jobs/job-1/artifacts") == 1


def written(source: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (source.parent / "out").glob("*.png")}


def test_killed_in_the_middle(service: FakeService, folder: Path):
    process = run_to_the_middle(service, folder)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = written(folder)
    assert len(before) == 3
    assert "6 of 6 pictures" in finish(service, folder)
    check(service, folder, before)


def test_killed_before_a_job_was_recorded(service: FakeService, folder: Path):
    process = run_to_the_middle(service, folder)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    path = folder.parent / "out" / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["files"]:
        if entry["status"] == "submitted":  # as it was before the answer of the service arrived
            entry.update(status="pending", job_id=None, fingerprint=None)
    path.write_text(json.dumps(manifest))
    finish(service, folder)
    assert len(service.jobs) == 6


def test_interrupted_from_the_keyboard(service: FakeService, folder: Path):
    process = run_to_the_middle(service, folder)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
    before = written(folder)
    finish(service, folder)
    check(service, folder, before)
