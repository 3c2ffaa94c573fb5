"""Jobs prefer the worker that has their prior warm: real worker processes, on SQLite and on PostgreSQL."""

import signal

import pytest
import sqlalchemy as sa

from service.database import handovers, jobs
from service.queue.base import NewJob
from service.queue.dbos_queue import DbosQueue
from service.queue.holdings import Holdings
from tests.service.queue.forks import Fork
from tests.service.queue.processes import Sleepers, wait_for, wait_until_ended

PRIOR = {"prior": "p", "prior_digest": "d"}


def warm_and_cold_worker(queue: DbosQueue, sleepers: Sleepers, **settings: object) -> tuple[Fork, int]:
    """The warm one, and the process id of the cold one."""
    warm = sleepers.worker(**settings)
    wait_for(lambda: queue.depth().workers == 1, "the first worker")
    job = sleepers.job("sleep", s=0.01, **PRIOR)
    queue.submit([job])
    wait_until_ended(queue, [job])
    holdings = Holdings(queue.engine)
    wait_for(lambda: [set(each.priors.items()) for each in holdings.live()] == [{(("p", "d"), "ready")}], "the news")
    cold = sleepers.worker(**settings)
    wait_for(lambda: queue.depth().workers == 2 and len(holdings.live()) == 2, "the second worker")
    return warm, cold.pid


def handed_over(queue: DbosQueue) -> set[str]:
    with queue.engine.connect() as connection:
        return set(connection.execute(sa.select(handovers.c.job_id)).scalars())


def losses(queue: DbosQueue) -> set[int]:
    with queue.engine.connect() as connection:
        return set(connection.execute(sa.select(jobs.c.losses)).scalars())


def test_jobs_go_to_the_worker_that_has_their_prior_and_none_is_lost(queue: DbosQueue, sleepers: Sleepers) -> None:
    warm, _ = warm_and_cold_worker(queue, sleepers)
    everything: list[NewJob] = []
    holdings = Holdings(queue.engine)
    while len(everything) < 24 or not handed_over(queue):  # which of the two asks first is chance
        assert len(everything) < 240
        # a job has ended a moment before its worker counts it out: three that still count leave room for one
        wait_for(lambda: not any(each.running for each in holdings.live()), "room")
        few = [sleepers.job("sleep", s=0.05, **PRIOR) for _ in range(3)]  # the warm one has room for four
        queue.submit(few)
        wait_until_ended(queue, few)
        everything += few
    assert {pid for _, pid in sleepers.notes("start")} == {warm.pid}
    assert {(record.status, record.attempt) for record in queue.get_many([job.id for job in everything])} == {
        ("succeeded", 1)
    }
    assert max(sleepers.count("start").values()) == 1 and losses(queue) == {0}


def test_a_job_does_not_wait_for_a_worker_that_is_full(queue: DbosQueue, sleepers: Sleepers) -> None:
    warm, cold = warm_and_cold_worker(queue, sleepers, concurrency=1)
    long = sleepers.job("sleep", s=300, **PRIOR)
    queue.submit([long])
    wait_for(lambda: (long.id, warm.pid) in sleepers.notes("start"), "the start at the warm one")
    job = sleepers.job("sleep", s=0.01, **PRIOR)
    queue.submit([job])
    wait_until_ended(queue, [job])
    assert (job.id, cold) in sleepers.notes("start")
    assert job.id not in handed_over(queue)


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "frozen"])
def test_a_warm_worker_that_does_not_take_what_was_left_to_it_delays_it_only(
    queue: DbosQueue, sleepers: Sleepers, end: signal.Signals | None
) -> None:
    warm, cold = warm_and_cold_worker(queue, sleepers)
    sleepers.freeze(warm)
    job = sleepers.job("sleep", s=0.01, **PRIOR)
    queue.submit([job])
    wait_for(lambda: handed_over(queue) == {job.id}, "the hand-over")
    if end is not None:
        warm.send_signal(end)
    (record,) = wait_until_ended(queue, [job])
    assert (record.status, record.attempt) == ("succeeded", 1)
    warm.send_signal(signal.SIGCONT)
    last = sleepers.job("sleep", s=0.01)
    queue.submit([last])
    wait_until_ended(queue, [last])
    assert [pid for job_id, pid in sleepers.notes("start") if job_id == job.id] == [cold]
    assert losses(queue) == {0}
