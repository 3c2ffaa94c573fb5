"""What the contract tests of running jobs leave: how the supervisor starts, and how it ends in a hurry."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from service.queue.dbos_queue import DbosQueue
from tests.service.queue.processes import ROOT, Sleepers, wait_for


def start(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {f"REDIFFUSE_{name.upper()}": value for name, value in settings.items()}
    environment["REDIFFUSE_DATA_DIR"] = str(folder)
    command = [sys.executable, "-m", "service"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        ended = start(tmp_path, port=port)
    assert ended.returncode == 1 and "Traceback" not in ended.stderr
    assert f"127.0.0.1 port {port}" in ended.stderr and "REDIFFUSE_PORT" in ended.stderr


def test_it_does_not_listen_to_the_world_without_a_key(tmp_path: Path) -> None:
    ended = start(tmp_path, host="0.0.0.0", port="0")
    assert ended.returncode == 1 and "REDIFFUSE_API_KEYS" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_second_interrupt_stops_at_once_and_blames_no_job(queue: DbosQueue, sleepers: Sleepers) -> None:
    supervisor = sleepers.supervisor(drain_s=1000)
    job = sleepers.job("sleep", s=1000)
    queue.submit([job])
    wait_for(lambda: sleepers.notes("start"), "the start")
    worker = sleepers.notes("start")[0][1]
    supervisor.send_signal(signal.SIGINT)
    wait_for(lambda: "stopping" in (sleepers.folder / "log").read_text(), "the first interrupt")
    assert supervisor.poll() is None
    supervisor.send_signal(signal.SIGINT)
    assert supervisor.wait(60) == 130
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    record = queue.get(job.id)
    assert record is not None and record.status == "queued"
    with queue.engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT running_on FROM jobs").scalar() is None
