"""Who may start."""

from hypothesis import given
from hypothesis import strategies as st

from service.engine.admission import Admission


def test_first_come_first_served_up_to_the_limit() -> None:
    admission = Admission(max_lanes=2)
    for lane in (5, 6, 7):
        admission.enter(lane, solo=False)
    assert [admission.next(), admission.next(), admission.next()] == [5, 6, None]
    admission.leave(6)
    assert [admission.next(), admission.next()] == [7, None]


def test_room_counts_the_running_and_the_waiting() -> None:
    admission = Admission(max_lanes=3)
    assert admission.room() == 3
    admission.enter(0, solo=False)
    assert admission.room() == 2
    admission.next()
    assert admission.room() == 2
    for lane in range(1, 6):
        admission.enter(lane, solo=False)
    assert admission.room() == 0


def test_a_suspect_waits_for_those_before_it_and_those_after_it_wait_for_its_end() -> None:
    admission = Admission(max_lanes=8)
    for lane, solo in enumerate([False, True, False, True]):
        admission.enter(lane, solo)
    assert [admission.next(), admission.next()] == [0, None]
    assert admission.room() == 0
    admission.leave(0)
    assert [admission.next(), admission.next()] == [1, None]
    admission.leave(1)
    assert [admission.next(), admission.next()] == [2, None]
    admission.leave(2)
    assert [admission.next(), admission.next()] == [3, None]
    admission.leave(3)
    assert admission.room() == 8


def test_a_suspect_that_gives_up_lets_the_others_pass() -> None:
    admission = Admission(max_lanes=8)
    for lane, solo in enumerate([False, True, False]):
        admission.enter(lane, solo)
    admission.next()
    admission.leave(1)
    assert admission.next() == 2
    assert admission.room() == 6


@given(
    solos=st.lists(st.booleans(), max_size=30),
    max_lanes=st.integers(1, 4),
    picks=st.lists(st.integers(0, 3), max_size=60),
)
def test_nobody_starves_and_a_suspect_runs_alone(solos: list[bool], max_lanes: int, picks: list[int]) -> None:
    admission = Admission(max_lanes)
    for lane, solo in enumerate(solos):
        admission.enter(lane, solo)
    started: list[int] = []
    running: list[int] = []
    for pick in picks + [0] * len(solos):
        while (lane := admission.next()) is not None:
            started.append(lane)
            running.append(lane)
        assert len(running) <= max_lanes
        assert len(running) == 1 or not any(solos[lane] for lane in running)
        if running:
            admission.leave(running.pop(pick % len(running)))
    assert started == list(range(len(solos)))
