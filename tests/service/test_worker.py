"""How a worker process starts and fails; what it does in between is in the contract tests of running jobs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from service.queue.dbos_queue import DbosQueue
from service.queue.schema import prepare
from service.worker import EXIT_BROKEN
from tests.service.queue.processes import ROOT, wait_for


def start(folder: Path, **settings: str) -> subprocess.Popen[str]:
    environment = os.environ | {f"REDIFFUSE_{name.upper()}": value for name, value in settings.items()}
    environment["REDIFFUSE_DATA_DIR"] = str(folder)
    command = [sys.executable, "-m", "service.worker"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_failure_is_said_and_ends_the_process_whatever_threads_are_left(tmp_path: Path) -> None:
    worker = start(tmp_path, blob_url="nowhere://bucket")
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == EXIT_BROKEN
    assert "worker failed" in errors and "nowhere" in errors


def test_a_setting_that_is_wrong_is_said_in_one_line(tmp_path: Path) -> None:
    worker = start(tmp_path, stall_s="-1")
    _, errors = worker.communicate(timeout=120)
    assert worker.returncode == 1
    assert errors.startswith("REDIFFUSE_STALL_S") and "Traceback" not in errors


def test_on_its_own_it_takes_jobs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    prepare(url := f"sqlite:///{tmp_path / 'rediffuse.sqlite'}")
    queue = DbosQueue(url)
    worker = start(tmp_path, threads="1")
    try:
        wait_for(lambda: queue.depth().workers == 1, "the worker")
        worker.send_signal(signal.SIGTERM)
        _, errors = worker.communicate(timeout=120)
    finally:
        worker.kill()
    assert worker.returncode == 0, errors
    assert queue.depth().workers == 0
    queue.close()
