"""Who is here: the side that other threads see."""

import threading

import pytest

from service.engine.errors import EngineStopped
from service.engine.lane import Job, Lane
from service.engine.roster import Roster
from tests.service.engine.parts import good


def lane_of(number: int, job_id: str = "job", solo: bool = False) -> Lane:
    return Lane(number, Job(job_id, good, "p", solo=solo))


def test_lanes_start_in_order_and_leave_room_behind() -> None:
    roster = Roster(max_lanes=1)
    first, second = lane_of(0, "a"), lane_of(1, "b")
    roster.enter(first)
    roster.enter(second)
    assert roster.start_next() is first
    assert roster.start_next() is None
    assert roster.present() == [first, second]
    assert roster.present("b") == [second]
    assert roster[1] is second
    roster.leave(first)
    assert roster.start_next() is second
    roster.leave(second)
    assert (roster.present(), roster.room()) == ([], 1)


def test_a_suspect_takes_all_the_room() -> None:
    roster = Roster(max_lanes=8)
    roster.enter(lane_of(0, solo=True))
    assert roster.room() == 0


def test_nobody_enters_after_the_close() -> None:
    roster = Roster(max_lanes=8)
    roster.close(abort=False)
    assert roster.room() == 0
    with pytest.raises(EngineStopped):
        roster.enter(lane_of(0))


def test_wait_ends_when_all_have_left_or_at_once_where_they_are_abandoned() -> None:
    roster, lane = Roster(max_lanes=8), lane_of(0)
    roster.enter(lane)
    roster.close(abort=False)
    assert roster.wait()
    roster.close(abort=True)
    assert not roster.wait()
    roster.close(abort=False)
    assert not roster.wait()  # an abort stays one


@pytest.mark.parametrize("arrives", [True, False], ids=["a lane", "the close"])
def test_wait_blocks_until_there_is_news(arrives: bool) -> None:
    roster, answers = Roster(max_lanes=8), []
    thread = threading.Thread(target=lambda: answers.append(roster.wait()))
    thread.start()
    assert not answers
    if arrives:
        roster.enter(lane_of(0))
    else:
        roster.close(abort=False)
    thread.join(60)
    assert answers == [arrives]
