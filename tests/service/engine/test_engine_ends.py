"""Cancel, deadline and stop."""

import itertools
import threading
import time
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for

import pytest
import torch

from service.engine.engine import DeadlineExceeded, Engine, EngineStopped
from solvers.query import Query, Solver
from tests.service.engine.parts import WAIT_S, Gate, Y, assert_good, endless, good, levels, submit_beside

# Cancel and deadline


def test_cancel_acts_between_two_steps(engine: Engine) -> None:
    steps, closed = [], threading.Event()

    def solver() -> Solver:
        try:
            yield from endless()
        finally:
            closed.set()

    def on_query(query: Query) -> None:
        steps.append(query.step)
        if query.step == 3:
            assert engine.cancel("job")

    future = engine.submit("job", solver, "p", on_query=on_query)
    with pytest.raises(CancelledError):
        future.result(WAIT_S)
    assert closed.wait(WAIT_S)
    assert_good(engine.submit("next", good, "p"))
    assert steps == [0, 1, 2, 3]
    assert wait_for([future], timeout=WAIT_S).done == {future}


def test_a_cancelled_future_is_a_cancelled_job(engine: Engine) -> None:
    """asyncio.wrap_future cancels in this way."""
    closed, running = threading.Event(), threading.Event()

    def solver() -> Solver:
        try:
            yield from endless()
        finally:
            closed.set()

    future = engine.submit("job", solver, "p", on_query=lambda query: running.set())
    assert running.wait(WAIT_S)
    assert future.cancel()
    assert closed.wait(WAIT_S)
    assert_good(engine.submit("next", good, "p"))
    assert not engine.cancel("job")


def test_cancel_before_the_start(engine: Engine) -> None:
    gate, started = Gate(), []
    engine.submit("gate", gate.start, "p")
    assert gate.entered.wait(WAIT_S)
    future = engine.submit("job", lambda: started.append(1) or good(), "p")
    assert engine.cancel("job")
    gate.open()
    with pytest.raises(CancelledError):
        future.result(WAIT_S)
    assert_good(engine.submit("next", good, "p"))
    assert not started


def test_cancel_after_the_end_and_of_a_stranger_has_no_effect(engine: Engine) -> None:
    future = engine.submit("job", good, "p")
    assert_good(future)
    assert not engine.cancel("job")
    assert not engine.cancel("stranger")
    assert_good(future)


def test_a_cancel_that_races_the_end_leaves_one_outcome(engine: Engine) -> None:
    for number in range(60):
        outcomes: list[str] = []
        future = engine.submit(f"job-{number}", lambda: levels(Y, [0.5]), "p")
        future.add_done_callback(lambda f, o=outcomes: o.append("cancelled" if f.cancelled() else "done"))
        threading.Thread(target=engine.cancel, args=(f"job-{number}",)).start()
        wait_for([future], timeout=WAIT_S)
        assert outcomes == ["cancelled" if future.cancelled() else "done"]
    assert_good(engine.submit("next", good, "p"))


def test_the_same_id_may_come_again(engine: Engine) -> None:
    first = engine.submit("job", endless, "p")
    assert engine.cancel("job")
    assert_good(engine.submit("job", good, "p"))
    assert first.cancelled()


def test_a_deadline_before_the_start(engine: Engine) -> None:
    started = []
    future = engine.submit("job", lambda: started.append(1) or good(), "p", deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineExceeded, match="before the start"):
        future.result(WAIT_S)
    assert not started


def test_a_deadline_acts_at_the_next_step(engine: Engine) -> None:
    deadline, steps = time.monotonic() + 3600, []

    def on_query(query: Query) -> None:
        steps.append(query.step)

    soon = time.monotonic() + 0.2

    def solver() -> Solver:
        for step in itertools.count():
            while step == 2 and time.monotonic() < soon:
                time.sleep(0.01)
            yield Query(Y, torch.ones(1), step, 1000)

    late = engine.submit("late", solver, "p", deadline=soon, on_query=on_query)
    in_time = engine.submit("in time", good, "p", deadline=deadline)
    with pytest.raises(DeadlineExceeded):
        late.result(WAIT_S)
    assert_good(in_time)
    assert max(steps) <= 2


# Stop


def test_stop_with_drain_finishes_everything(engine: Engine) -> None:
    future, others = submit_beside(engine, good)
    engine.stop(drain=True)
    for each in [future, *others]:
        assert_good(each)
    assert not engine.healthy
    with pytest.raises(EngineStopped):
        engine.submit("late", good, "p")


def test_stop_without_drain_gives_the_jobs_back(engine: Engine) -> None:
    running = threading.Event()
    first = engine.submit("first", endless, "p", on_query=lambda query: running.set())
    second = engine.submit("second", endless, "p")
    assert running.wait(WAIT_S)
    engine.stop(drain=False)
    for future in (first, second):
        with pytest.raises(EngineStopped):
            future.result(0)


def test_a_drain_ends_after_its_time(engine: Engine) -> None:
    quick, slow = engine.submit("quick", good, "p"), engine.submit("slow", endless, "p")
    assert_good(quick)
    engine.stop(drain=True, timeout_s=0.1)
    with pytest.raises(EngineStopped):
        slow.result(0)


def test_stop_of_an_idle_engine_and_twice(engine: Engine) -> None:
    engine.stop(drain=True)
    engine.stop(drain=False)
    assert not engine.healthy
