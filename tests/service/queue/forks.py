"""Processes that need not import anything: forks of one that has done so for all tests.

`python -m` of a worker or a supervisor takes more than a second before it does anything. The start that users have is
tested in `test_worker` and `test_supervisor`, and with every worker that a supervisor starts.
"""

import multiprocessing
import os
import random
import runpy
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
MODULES = [
    "tests.service.queue.sleepy_worker",
    "tests.service.queue.sleepy_supervisor",
    "tests.service.copying_worker",
]

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__, *MODULES])


class Fork:
    """`python -m module` in the root of the project, with what tests use of `subprocess.Popen`."""

    def __init__(self, module: str, environment: dict[str, str], log: Path):
        self._process = forks.Process(target=_become, args=(module, environment, log))
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _become(module: str, environment: dict[str, str], log: Path) -> None:
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    with log.open("ab") as output:
        os.dup2(output.fileno(), 2)
    random.seed()  # the forks share the state of the one they come from
    sys.argv = [module]
    sys.modules.pop(module, None)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
