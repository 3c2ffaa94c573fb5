"""Who is here: the side that other threads see."""

import threading

import pytest

from service.engine.errors import EngineStopped
from service.engine.lane import Job, Lane
from service.engine.residency import PriorId
from service.engine.roster import Roster
from tests.service.engine.parts import good


def lane_of(number: int, job_id: str = "job") -> Lane:
    return Lane(number, Job(job_id, good, (PriorId("p"),)))


def test_lanes_start_once_in_the_order_of_arrival() -> None:
    roster = Roster()
    first, second, third = (lane_of(number, name) for number, name in enumerate("abc"))
    for lane in (first, second, third):
        roster.enter(lane)
    assert roster.start_next() is first
    assert roster.present() == [first, second, third]
    assert roster.present("b") == [second]
    assert roster[1] is second
    roster.leave(first)
    roster.leave(second)  # before its start
    assert roster.start_next() is third
    assert roster.start_next() is None
    roster.leave(third)
    assert roster.present() == []


def test_nobody_enters_after_the_close() -> None:
    roster = Roster()
    roster.close(abort=False)
    with pytest.raises(EngineStopped):
        roster.enter(lane_of(0))


def test_wait_ends_when_all_have_left_or_at_once_where_they_are_abandoned() -> None:
    roster, lane = Roster(), lane_of(0)
    roster.enter(lane)
    roster.close(abort=False)
    assert roster.wait()
    roster.close(abort=True)
    assert not roster.wait()
    roster.close(abort=False)
    assert not roster.wait()  # an abort stays one


@pytest.mark.parametrize("arrives", [True, False], ids=["a lane", "the close"])
def test_wait_blocks_until_there_is_news(arrives: bool) -> None:
    roster, answers = Roster(), []
    thread = threading.Thread(target=lambda: answers.append(roster.wait()))
    thread.start()
    assert not answers
    if arrives:
        roster.enter(lane_of(0))
    else:
        roster.close(abort=False)
    thread.join(60)
    assert answers == [arrives]
