import subprocess
import sys
import time

import pytest

from service.children import LONGEST_PAUSE_S, Child, pause_s


def test_the_first_ends_cost_no_pause_and_then_it_doubles_up_to_a_limit() -> None:
    pauses = [pause_s(ends) for ends in range(20)]
    assert pauses[:3] == [0, 0, 0]
    assert pauses[3:7] == [0.5, 1, 2, 4]
    assert pauses == sorted(pauses) and pauses[-1] == LONGEST_PAUSE_S


def test_a_child_that_ends_quickly_again_and_again_has_to_wait() -> None:
    child = Child("this")  # prints the Zen: a module that ends at once
    for _ in range(3):
        assert child.is_due
        child.start([], [])
        assert child.process is not None and not child.is_due
        child.process.wait()
        child.executor_id = "someone"
        child.ended()
        assert child.process is None and child.executor_id is None
    assert not child.is_due and child.due_at > time.monotonic()


def test_a_long_life_is_forgiven(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child("this", due_at=0.0)
    child._quick_ends = 10
    child._started_at = time.monotonic() - 60
    child.process = subprocess.Popen([sys.executable, "-c", ""])
    child.process.wait()
    child.ended()
    assert child.is_due
