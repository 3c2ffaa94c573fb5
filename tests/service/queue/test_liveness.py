import threading
import time

import pytest
import sqlalchemy as sa

from service.database import executors
from service.queue.base import NewJob
from service.queue.dbos_queue import DbosQueue
from service.queue.liveness import Membership, is_host_alive, new_executor_id
from service.queue.tables import workflow_status

LEASE_S = 20.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def members(queue: DbosQueue) -> set[str]:
    with queue.engine.connect() as connection:
        return set(connection.execute(sa.select(executors.c.id)).scalars())


def give_job_to(queue: DbosQueue, executor_id: str) -> None:
    """As DBOS does when an executor claims a job."""
    queue.submit([NewJob(f"of-{executor_id}", "ada", "denoise", "normal", {}, "f")])
    with queue.engine.begin() as connection:
        connection.execute(
            workflow_status.update()
            .where(workflow_status.c.workflow_uuid == f"of-{executor_id}")
            .values(status="PENDING", executor_id=executor_id)
        )


def observe(observer: Membership, clock: Clock, seconds: float, mine: set[str] = frozenset()) -> list[str]:
    orphans = []
    for _ in range(round(seconds)):
        clock.now += 1
        orphans = observer.reap(mine)
    return orphans


def test_a_silent_executor_is_dead_after_its_lease_and_its_jobs_are_orphans(queue: DbosQueue) -> None:
    clock = Clock()
    other, observer = Membership(queue.engine, LEASE_S), Membership(queue.engine, LEASE_S, clock)
    other.enlist("silent")
    other.enlist("beating")
    give_job_to(queue, "silent")
    give_job_to(queue, "beating")
    for _ in range(15):
        other.beat({"beating"})
        assert observe(observer, clock, 1) == []
    assert members(queue) == {"silent", "beating"}
    for _ in range(10):
        other.beat({"beating"})
        orphans = observe(observer, clock, 1)
    assert orphans == ["silent"] and members(queue) == {"beating"}
    assert other.beat({"silent", "beating"}) == {"silent"}  # it learns that it was declared dead


def test_an_observer_that_was_away_judges_nobody_yet(queue: DbosQueue) -> None:
    clock = Clock()
    other, observer = Membership(queue.engine, LEASE_S), Membership(queue.engine, LEASE_S, clock)
    other.enlist("peer")
    observe(observer, clock, 15)
    clock.now += 1000  # neither of them reached the database
    observer.reap(set())
    observe(observer, clock, 15)
    assert members(queue) == {"peer"}


def test_nobody_buries_its_own(queue: DbosQueue) -> None:
    clock = Clock()
    observer = Membership(queue.engine, LEASE_S, clock)
    observer.enlist("mine")
    observe(observer, clock, 3 * LEASE_S, {"mine"})
    assert members(queue) == {"mine"}


def test_a_beat_that_comes_in_time_saves_from_burial(queue: DbosQueue) -> None:
    other, observer = Membership(queue.engine, LEASE_S), Membership(queue.engine, LEASE_S)
    other.enlist("peer")
    other.beat({"peer"})
    observer._bury("peer", beat=0)  # seen before that beat
    assert members(queue) == {"peer"}


def test_jobs_of_a_dismissed_executor_are_orphans_at_once_and_can_be_requeued_twice(queue: DbosQueue) -> None:
    membership = Membership(queue.engine, LEASE_S)
    membership.enlist("gone")
    give_job_to(queue, "gone")
    assert membership.reap(set()) == []
    membership.dismiss("gone")
    assert membership.reap(set()) == ["gone"]
    queue.requeue(["gone"])
    queue.requeue(["gone"])
    record = queue.get("of-gone")
    assert record is not None and record.status == "queued"
    assert membership.reap(set()) == []


def test_who_cannot_beat_stops_before_its_lease_ends(queue: DbosQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    membership = Membership(queue.engine, LEASE_S, clock)
    membership.enlist("a")
    clock.now += 0.7 * LEASE_S
    membership.enlist("b")
    assert membership.beyond_lease({"a", "b"}) == set()
    clock.now += 0.2 * LEASE_S
    assert membership.beyond_lease({"a", "b"}) == {"a"}
    membership.beat({"a", "b"})
    assert membership.beyond_lease({"a", "b"}) == set()


def test_a_host_is_healthy_while_one_of_its_executors_beats_and_takes_jobs(queue: DbosQueue) -> None:
    membership = Membership(queue.engine, LEASE_S)
    membership.enlist("host-1")
    stopped = threading.Event()

    def beat() -> None:
        while not stopped.wait(0.05):
            membership.beat({"host-1"})

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        assert not is_host_alive(queue.engine, "host", watch_s=0.5)  # it has not come up yet
        membership.mark_ready("host-1")
        assert is_host_alive(queue.engine, "host", watch_s=0.5)
        assert not is_host_alive(queue.engine, "other", watch_s=0.1)
        assert not is_host_alive(queue.engine, "hos", watch_s=0.1)
    finally:
        stopped.set()
        thread.join()
    time.sleep(0.1)
    assert not is_host_alive(queue.engine, "host", watch_s=0.3)


def test_executor_ids_are_never_used_twice() -> None:
    assert len({new_executor_id() for _ in range(1000)}) == 1000
