"""The contract of the queue as a whole: real worker processes, real signals, on SQLite and on PostgreSQL."""

import os
import signal
import time

import pytest

from service.queue.dbos_queue import DbosQueue
from service.worker import EXIT_FENCED
from tests.service.queue.processes import Sleepers, wait_for, wait_until_ended


def test_outcomes_events_cancel_and_deadline_of_running_jobs(queue: DbosQueue, sleepers: Sleepers) -> None:
    sleepers.worker(concurrency=8)
    wait_for(lambda: queue.depth().workers == 1, "the worker")  # whose start may take longer than the deadline below
    plan = {
        "sleep": sleepers.job("sleep", s=0.1),
        "talk": sleepers.job("talk"),
        "fail": sleepers.job("fail"),
        "crash": sleepers.job("crash"),
        "late": sleepers.job("miss_deadline"),
        "canceled": sleepers.job("sleep", s=300),
        "expired": sleepers.job("sleep", s=300, deadline_s=4.0),
    }
    queue.submit(list(plan.values()))
    endless = {plan["canceled"].id, plan["expired"].id}
    wait_for(lambda: endless <= {job for job, _ in sleepers.notes("start")}, "the starts")
    queue.cancel(plan["canceled"].id)
    wait_until_ended(queue, list(plan.values()))
    # the state says so at once; the body hears of it soon after
    wait_for(lambda: endless == {job for job, _ in sleepers.notes("cancel")}, "the cancellation of the bodies")

    record = {name: queue.get(job.id) for name, job in plan.items()}
    assert {name: each.status for name, each in record.items()} == {
        "sleep": "succeeded",
        "talk": "succeeded",
        "fail": "failed",
        "crash": "failed",
        "late": "expired",
        "canceled": "canceled",
        "expired": "expired",
    }
    assert record["sleep"].result == {"slept_s": 0.1, "attempt": 1}
    assert record["fail"].error["code"] == "solver_diverged" and record["fail"].result is None
    assert record["fail"].error["detail"] == "not finite at step 3"
    assert record["crash"].error["code"] == "internal" and "secret" not in str(record["crash"].error)
    assert record["late"].error["code"] == record["expired"].error["code"] == "deadline_exceeded"
    assert record["canceled"].error is None and record["canceled"].cancel_requested
    assert all(each.attempt == 1 for each in record.values())
    for each in record.values():
        assert each.created_at <= each.started_at <= each.finished_at
    assert not sleepers.count("end").keys() & endless

    events = queue.events_after({plan["talk"].id: 0})
    assert [event.type for event in events] == [
        "job.queued",
        "job.started",
        "job.preview",
        "job.warning",
        "job.progress",
    ]
    assert [event.seq for event in events] == [1, 2, 3, 4, 5]
    assert record["talk"].progress == events[-1].data == {"step": 2, "total_steps": 2, "fraction": 1.0}

    queue.cancel(plan["sleep"].id)  # an end is an end
    queue.cancel(plan["expired"].id)
    assert queue.get(plan["sleep"].id) == record["sleep"]
    assert queue.get(plan["expired"].id) == record["expired"]


def test_priorities_decide_who_is_next(queue: DbosQueue, sleepers: Sleepers) -> None:
    jobs = [sleepers.job("sleep", s=0.01, priority=priority) for priority in ("low", "normal", "high", "low", "normal")]
    for job in jobs:
        queue.submit([job])
    sleepers.worker(concurrency=1)
    wait_until_ended(queue, jobs)
    rank = {job.id: ("high", "normal", "low").index(job.priority) for job in jobs}
    order = [rank[job_id] for job_id, _ in sleepers.notes("start")]
    assert order == sorted(order)


def test_jobs_of_a_killed_worker_are_finished_once_by_another(queue: DbosQueue, sleepers: Sleepers) -> None:
    supervisor = sleepers.supervisor(workers=2)
    wait_for(lambda: queue.depth().workers == 2, "two workers")
    jobs = [sleepers.job("sleep", s=1.0) for _ in range(8)]
    queue.submit(jobs)
    wait_for(lambda: len(sleepers.notes("start")) == 8, "eight starts")
    victim = sleepers.notes("start")[0][1]
    lost = {job_id for job_id, pid in sleepers.notes("start") if pid == victim}
    os.kill(victim, signal.SIGKILL)
    records = wait_until_ended(queue, jobs)
    assert {record.status for record in records} == {"succeeded"}
    assert {record.id: record.attempt for record in records} == {job.id: 2 if job.id in lost else 1 for job in jobs}
    assert {record.result["attempt"] for record in records if record.id in lost} == {2}
    assert sleepers.count("end") == {job.id: 1 for job in jobs}
    assert supervisor.poll() is None
    wait_for(lambda: queue.depth().workers == 2, "the restart of the killed one")


def test_a_job_that_kills_its_worker_fails_alone(queue: DbosQueue, sleepers: Sleepers) -> None:
    poison = sleepers.job("kill")
    normal = [sleepers.job("sleep", s=0.4) for _ in range(11)]
    queue.submit([*normal[:5], poison, *normal[5:]])
    sleepers.supervisor(max_attempts=3)
    (failed, *others) = wait_until_ended(queue, [poison, *normal])
    assert failed.status == "failed" and failed.error["code"] == "worker_lost"
    assert failed.attempt == 3 == sleepers.count("start")[poison.id]
    assert {record.status for record in others} == {"succeeded"}
    assert sleepers.count("end") == {job.id: 1 for job in normal}
    assert max(record.attempt for record in others) <= 2  # its company at the first time, and nobody later


def test_a_frozen_worker_is_declared_dead_and_stops_when_it_wakes(queue: DbosQueue, sleepers: Sleepers) -> None:
    frozen = sleepers.worker(lease_s=2)
    jobs = [sleepers.job("sleep", s=1.0) for _ in range(3)]
    queue.submit(jobs)
    wait_for(lambda: len(sleepers.notes("start")) == 3, "three starts")
    sleepers.freeze(frozen)
    sleepers.worker(lease_s=2)
    records = wait_until_ended(queue, jobs)
    assert {(record.status, record.attempt) for record in records} == {("succeeded", 2)}
    frozen.send_signal(signal.SIGCONT)
    assert frozen.wait(30) == EXIT_FENCED
    time.sleep(0.3)  # what it might still have written
    assert queue.get_many([job.id for job in jobs]) == records


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite is freed with its process alone
def test_a_worker_that_froze_in_a_transaction_holds_up_nobody(queue: DbosQueue, sleepers: Sleepers) -> None:
    frozen = sleepers.worker(lease_s=2)
    job = sleepers.job("sleep", s=3.0)
    queue.submit([job])
    wait_for(lambda: sleepers.notes("start"), "the start")
    sleepers.freeze_writing(frozen, queue)
    sleepers.worker(lease_s=2)
    (record,) = wait_until_ended(queue, [job])
    assert (record.status, record.attempt) == ("succeeded", 2)


def test_a_drain_finishes_what_is_short_and_gives_back_what_is_long(queue: DbosQueue, sleepers: Sleepers) -> None:
    supervisor = sleepers.supervisor(drain_s=1)
    short, long = sleepers.job("sleep", s=0.4), sleepers.job("sleep", s=2.5)
    queue.submit([short, long])
    wait_for(lambda: len(sleepers.notes("start")) == 2, "two starts")
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(30) == 0
    assert [record.status for record in queue.get_many([short.id, long.id])] == ["succeeded", "queued"]
    assert queue.depth().workers == 0
    sleepers.supervisor()
    (record,) = wait_until_ended(queue, [long])
    assert (record.status, record.attempt) == ("succeeded", 2)
    # given back, not lost: the second run is not that of a suspect
    with queue.engine.connect() as connection:
        assert set(connection.exec_driver_sql("SELECT losses FROM jobs").scalars()) == {0}


def test_workers_end_with_their_supervisor_and_their_jobs_go_on(queue: DbosQueue, sleepers: Sleepers) -> None:
    supervisor = sleepers.supervisor()
    job = sleepers.job("sleep", s=2)
    queue.submit([job])
    wait_for(lambda: sleepers.notes("start"), "the start")
    supervisor.send_signal(signal.SIGKILL)
    wait_for(lambda: sleepers.notes("cancel"), "the end of the orphaned worker")
    sleepers.supervisor()
    (record,) = wait_until_ended(queue, [job])
    assert (record.status, record.attempt) == ("succeeded", 2)
    assert sleepers.count("end") == {job.id: 1}
