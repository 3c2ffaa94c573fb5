"""Solvers whose own work is long, beside others."""

import time
from collections.abc import Callable

import torch

from service.engine.courtesy import LONG_S, Courtesy
from service.engine.engine import Engine
from service.engine.lane import Job, Lane
from solvers.query import Query, Solver
from tests.service.engine.parts import WAIT_S, Gate, Recorder, Y, assert_good, good, levels


def lane(number: int) -> Lane:
    return Lane(number, Job(f"job-{number}", good, ()))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_long_step_is_waited_for_as_long_again() -> None:
    clock = Clock()
    courtesy, first, second = Courtesy(clock), lane(1), lane(2)
    assert not courtesy.holds(first, LONG_S / 2)
    assert not courtesy.has_lanes
    assert courtesy.holds(first, 3.0) and courtesy.holds(second, 2.0)
    clock.now = 4.9
    assert courtesy.released(others_wait=True) == []
    clock.now = 5.0
    assert courtesy.released(others_wait=True) == [first, second]
    assert not courtesy.has_lanes


def test_nobody_stands_back_for_nobody() -> None:
    courtesy, one = Courtesy(Clock()), lane(1)
    assert courtesy.holds(one, 100.0)
    assert courtesy.released(others_wait=False) == [one]


def test_who_ended_meanwhile_does_not_come_back() -> None:
    courtesy, gone, here = Courtesy(Clock()), lane(1), lane(2)
    assert courtesy.holds(gone, 1.0) and courtesy.holds(here, 1.0)
    gone.future.cancel()
    assert courtesy.released(others_wait=False) == [here]


def endless() -> Solver:
    step = 0
    while True:
        time.sleep(1.2 * LONG_S)
        yield Query(Y, torch.ones(1), step, 10**9)
        step += 1


def test_short_steps_do_not_wait_for_a_long_one_each(make_engine: Callable[..., Engine]) -> None:
    recorder, gate = Recorder(), Gate()
    engine = make_engine(observe=recorder)
    engine.submit("gate", gate.start, "p")
    engine.submit("slow", endless, "p")
    short = engine.submit("short", lambda: levels(Y, [0.5] * 12), "p")
    gate.open()
    short.result(WAIT_S)
    until = recorder.steps[: len(recorder.steps) - recorder.steps[::-1].index("short")]
    assert until.count("short") == 12
    assert until.count("slow") <= 6  # one for one without courtesy
    assert engine.cancel("slow")


def test_long_steps_alone_and_beside_others_reach_the_same_end(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    gate = Gate()
    engine.submit("gate", gate.start, "p")
    first, other = engine.submit("slow-1", two_long_steps, "p"), engine.submit("slow-2", two_long_steps, "p")
    short = engine.submit("short", good, "p")
    gate.open()
    assert_good(short)
    assert_good(first)
    assert_good(other)


def two_long_steps() -> Solver:
    """`good`, with a long pause before its first and its last query."""
    solver, answer = good(), None
    for pause_s in (1.2 * LONG_S, 0.0, 0.0, 1.2 * LONG_S):
        time.sleep(pause_s)
        answer = yield next(solver) if answer is None else solver.send(answer)
    try:
        solver.send(answer)
    except StopIteration as end:
        return end.value
    raise AssertionError("`good` has four levels")


def test_who_stands_back_can_be_cancelled_and_the_engine_stopped(make_engine: Callable[..., Engine]) -> None:
    engine = make_engine()
    kept = engine.submit("slow", endless, "p")
    busy = engine.submit("busy", lambda: levels(Y, [0.5] * 100_000), "p")
    assert engine.cancel("slow")
    assert kept.cancelled()
    engine.stop(drain=False)
    assert busy.exception(WAIT_S) is not None
