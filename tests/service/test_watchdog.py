"""What hangs ends; what works or has nothing to do does not. In processes of their own."""

import signal
import subprocess
import sys

import pytest

from tests.service.queue.processes import ROOT

PARTS = """
import ctypes, threading, time
from service.watchdog import Watchdog
dog = Watchdog(2.0)
hang = ctypes.PyDLL(None).sleep  # in native code, with the lock of the interpreter
"""

ENGINE = """
import torch
from service.engine.engine import Engine
from tests.service.engine.parts import PRIOR, SmallMemory, assert_good, good

class Hanging(SmallMemory):
    def denoise(self, x, sigma):
        if self.shapes:  # the first call warms it up
            hang(60)
        return super().denoise(x, sigma)

def load(name):
    if name == "slow":
        time.sleep(8)
    if name == "stuck":
        threading.Event().wait(60)
    return Hanging() if name == "hanging" else PRIOR

dog = Watchdog(6.0)  # a busy machine may take a while for a step
engine = Engine(load, "cpu", watchdog=dog, load_stall_s=LOAD_STALL_S)
assert_good(engine.submit("job", good, "p"))
"""

END = "engine.stop(drain=False); print('here')"


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PARTS + code], cwd=ROOT, capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("code", ["dog.beat(); hang(60)", "dog.beat(); dog.beat(); threading.Event().wait(60)"])
def test_what_hangs_is_ended_and_says_where(code: str) -> None:
    ended = run(code)
    assert ended.returncode == 1
    assert "Timeout" in ended.stderr and 'File "<string>"' in ended.stderr


def test_what_beats_or_rests_goes_on() -> None:
    ended = run("for _ in range(50): dog.beat(); time.sleep(0.05)\ndog.rest(); dog.rest(); hang(3); print('here')")
    assert (ended.returncode, ended.stdout) == (0, "here\n"), ended.stderr


def test_without_a_limit_it_does_nothing() -> None:
    ended = run("free = Watchdog(); free.beat(); hang(2); free.rest(); print('here')")
    assert (ended.returncode, ended.stdout) == (0, "here\n"), ended.stderr


def test_an_engine_may_be_idle() -> None:
    ended = run("LOAD_STALL_S = 60" + ENGINE + "time.sleep(7); assert_good(engine.submit('job', good, 'p'))\n" + END)
    assert (ended.returncode, ended.stdout) == (0, "here\n"), ended.stderr


def test_a_prior_that_hangs_ends_the_process() -> None:
    ended = run("LOAD_STALL_S = 60" + ENGINE + "engine.submit('job', good, 'hanging').result(60)\n" + END)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "denoise" in ended.stderr


def test_a_load_may_take_longer_than_a_step() -> None:
    ended = run("LOAD_STALL_S = 60" + ENGINE + "assert_good(engine.submit('job', good, 'slow'))\n" + END)
    assert (ended.returncode, ended.stdout) == (0, "here\n"), ended.stderr


def test_a_load_that_hangs_ends_the_process_though_other_jobs_go_on() -> None:
    others = "[assert_good(engine.submit('job', good, 'p')) for _ in iter(int, 1)]\n"
    ended = run("LOAD_STALL_S = 4" + ENGINE + "engine.submit('stuck', good, 'stuck')\n" + others + END)
    # its clock reads the stacks of threads that run on meanwhile, and may fall over one: that ends the process, too
    assert ended.returncode in (1, -signal.SIGSEGV) and ended.stdout == ""
    assert ended.returncode != 1 or "in load" in ended.stderr
