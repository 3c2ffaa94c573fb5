"""The contract of `JobQueue` as the API uses it, on SQLite and on PostgreSQL. No worker runs here."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.database import events, job_inputs, jobs
from service.queue.base import DuplicateJob, NewJob
from service.queue.dbos_queue import DbosQueue
from tests.service.queue.processes import ROOT, wait_for


def new_job(job_id: str, **fields: object) -> NewJob:
    defaults = {"owner": "ada", "task": "denoise", "priority": "normal", "request": {"seed": 1}, "fingerprint": "f"}
    return NewJob(id=job_id, **(defaults | fields))


def test_a_submitted_job_is_queued_as_it_was_given(queue: DbosQueue) -> None:
    before = time.time()
    job = new_job(
        "a",
        request={"image": {"sha256": "11"}, "seed": 2**62, "params": {"steps": 20}},
        deadline_at=before + 1000,
        batch_id="b",
        retry_of="r",
        client_ref="c",
        metadata={"k": "ü"},
    )
    queue.submit([job])
    record = queue.get("a")
    assert record is not None
    for name, value in vars(job).items():
        assert getattr(record, name) == value
    assert (record.status, record.attempt, record.is_terminal) == ("queued", 0, False)
    assert (record.started_at, record.finished_at, record.progress, record.result, record.error) == (None,) * 5
    assert before <= record.created_at <= time.time()
    assert queue.get("nobody") is None


def test_an_id_is_taken_once_and_a_refused_batch_leaves_nothing(queue: DbosQueue) -> None:
    queue.submit([new_job("a", request={"seed": 1})])
    with pytest.raises(DuplicateJob):
        queue.submit([new_job("b"), new_job("a", request={"seed": 2})])
    assert queue.get("b") is None
    record = queue.get("a")
    assert record is not None and record.request == {"seed": 1}
    assert sum(queue.depth().queued.values()) == 1
    assert [event.job_id for event in queue.events_after({"a": 0, "b": 0})] == ["a"]


def test_list_is_newest_first_by_owner_with_filters_and_cursor(queue: DbosQueue) -> None:
    for number in range(5):
        queue.submit([new_job(f"job-{number}", task="inpaint" if number % 2 else "denoise")])
    queue.submit([new_job(f"batch-{number}", batch_id="b") for number in range(3)])
    queue.submit([new_job("foreign", owner="eve")])
    queue.cancel("job-3")

    def ids(**filters: object) -> list[str]:
        return [record.id for record in queue.list("ada", **filters)]

    alone = [f"job-{number}" for number in (4, 3, 2, 1, 0)]
    assert ids() == ["batch-2", "batch-1", "batch-0", *alone]
    assert ids(batch_id="b", limit=2) == ["batch-2", "batch-1"]
    assert ids(task="inpaint") == ["job-3", "job-1"]
    assert ids(status="canceled") == ["job-3"]
    assert ids(status="queued", task="inpaint") == ["job-1"]
    assert ids(status="running") == ids(status="failed") == ids(status="succeeded") == ids(status="expired") == []

    pages, before = [], None
    while page := queue.list("ada", limit=3, before=before):
        pages.append([record.id for record in page])
        before = (page[-1].created_at, page[-1].id)
    assert pages == [["batch-2", "batch-1", "batch-0"], alone[:3], alone[3:]]


def test_cancel_of_a_queued_job_ends_it_once_and_for_all(queue: DbosQueue) -> None:
    queue.submit([new_job("a"), new_job("b")])
    queue.cancel("a")
    record = queue.get("a")
    assert record is not None
    assert (record.status, record.cancel_requested, record.error, record.attempt) == ("canceled", True, None, 0)
    assert record.finished_at is not None and record.finished_at >= record.created_at
    queue.cancel("a")
    queue.cancel("nobody")
    assert queue.get("a") == record
    assert queue.place("a") is None and queue.place("b") == 1


def test_place_and_depth_follow_the_priorities(queue: DbosQueue) -> None:
    assert queue.depth().oldest_age_s is None
    for job_id, priority in [("l", "low"), ("n1", "normal"), ("n2", "normal"), ("h", "high")]:
        queue.submit([new_job(job_id, priority=priority)])
    assert [queue.place(job_id) for job_id in ("h", "l")] == [1, 4]
    assert queue.place("n1") in (2, 3) and queue.place("nobody") is None
    depth = queue.depth()
    assert (depth.queued, depth.running, depth.workers) == ({"high": 1, "normal": 2, "low": 1}, 0, 0)
    assert depth.oldest_age_s is not None and depth.oldest_age_s >= 0


def test_events_of_many_jobs_come_after_each_cursor_in_order(queue: DbosQueue) -> None:
    queue.submit([new_job(f"job-{number}", priority="low") for number in range(3)])
    queue.submit([new_job("first", priority="high")])
    assert [event.data["position"] for event in queue.events_after({"job-0": 0, "job-2": 0})] == [1, 3]
    assert queue.events_after({"first": 0})[0].data == {"position": 1}
    with queue.engine.begin() as connection:
        more = [{"job_id": "job-1", "seq": seq, "type": "job.warning", "data": {"n": seq}, "at": 0.0} for seq in (2, 3)]
        connection.execute(events.insert(), more)
    cursors = {"job-1": 1, "job-0": 0, "job-2": 1, "nobody": 0}
    got = [(event.job_id, event.seq, event.type) for event in queue.events_after(cursors)]
    assert got == [("job-0", 1, "job.queued"), ("job-1", 2, "job.warning"), ("job-1", 3, "job.warning")]
    assert queue.events_after({}) == []
    assert len(queue.events_after({f"job-{number}": 0 for number in range(2000)})) == 5


def test_a_deadline_ends_a_queued_job_as_expired_and_cancel_cannot_change_that(queue: DbosQueue) -> None:
    queue.submit([new_job("late", deadline_at=time.time() - 1), new_job("early", deadline_at=time.time() + 1000)])
    assert queue.expire_overdue() == ["late"]
    assert queue.expire_overdue() == []
    queue.cancel("late")
    record = queue.get("late")
    assert record is not None and record.error is not None
    assert (record.status, record.cancel_requested) == ("expired", False)
    assert (record.error["code"], record.error["status"]) == ("deadline_exceeded", 504)
    assert [each.id for each in queue.list("ada", status="expired")] == ["late"]
    early = queue.get("early")
    assert early is not None and early.status == "queued"


def test_a_cancel_that_was_cut_short_is_finished_by_the_upkeep(queue: DbosQueue) -> None:
    queue.submit([new_job("a")])
    with queue.engine.begin() as connection:  # what a process leaves that dies between the two writes of `cancel`
        connection.execute(jobs.update().values(cancel_requested=True))
    assert queue.expire_overdue() == ["a"]
    record = queue.get("a")
    assert record is not None and record.status == "canceled"


def test_only_what_has_ended_is_deleted_and_nothing_of_it_stays(queue: DbosQueue) -> None:
    inputs = {"image": {"sha256": "11"}, "mask": {"sha256": "22"}}
    queue.submit([new_job("gone", request=inputs), new_job("alive", request={"image": {"sha256": "11"}})])
    queue.cancel("gone")
    assert queue.ended_before(time.time() - 1000, limit=10) == []
    assert queue.ended_before(time.time() + 1000, limit=10) == ["gone"]
    queue.delete(["gone", "alive", "nobody"])
    assert queue.get("gone") is None and queue.get("alive") is not None
    assert [event.job_id for event in queue.events_after({"gone": 0, "alive": 0})] == ["alive"]
    assert queue.ended_before(time.time() + 1000, limit=10) == []
    with queue.engine.connect() as connection:
        assert connection.execute(sa.select(job_inputs)).all() == [("11", "alive")]
    queue.submit([new_job("gone")])  # the id is free again


def test_a_deletion_that_was_cut_short_is_found_again(queue: DbosQueue) -> None:
    queue.submit([new_job("a")])
    queue.cancel("a")
    with queue.engine.begin() as connection:
        connection.execute(jobs.delete())
    assert queue.get("a") is None
    assert queue.ended_before(time.time() + 1000, limit=10) == ["a"]
    queue.delete(["a"])
    assert queue.ended_before(time.time() + 1000, limit=10) == []


SUBMITTER = """
import sys
from service.queue.dbos_queue import DbosQueue
from tests.contracts.test_job_queue import new_job

queue, name = DbosQueue(sys.argv[1]), sys.argv[2]
for number in range(100_000):
    queue.submit([new_job(f"{name}-{number}-{part}") for part in "ab"])
    print(number, flush=True)
"""


def test_no_acknowledged_job_is_lost_and_none_half_written_when_submitters_are_killed(
    queue: DbosQueue, database_url: str, tmp_path: Path
) -> None:
    acknowledged = 0
    for round_ in range(3):
        answers = tmp_path / f"answers-{round_}"
        with answers.open("wb") as output:
            command = [sys.executable, "-c", SUBMITTER, database_url, f"r{round_}"]
            submitter = subprocess.Popen(command, cwd=ROOT, stdout=output, env=os.environ)
        wait_for(lambda answers=answers, r=round_: answers.read_bytes().count(b"\n") > 5 + 7 * r, "acknowledgements")
        submitter.send_signal(signal.SIGKILL)
        submitter.wait()
        acknowledged += answers.read_bytes().count(b"\n")
    stored = queue.list("ada", limit=100_000)
    rounds = {record.id.rsplit("-", 1)[0] for record in stored}
    assert len(stored) == 2 * len(rounds)  # both jobs of a submission, or none
    assert acknowledged <= len(rounds) <= acknowledged + 3  # the last of a round may not have been acknowledged
    assert sum(queue.depth().queued.values()) == len(stored)
    assert len(queue.events_after({record.id: 0 for record in stored})) == len(stored)


def test_records_are_given_in_the_order_asked_for(queue: DbosQueue) -> None:
    first = new_job("a")
    queue.submit([first, replace(first, id="b"), replace(first, id="c")])
    assert [record.id for record in queue.get_many(["c", "nobody", "a"])] == ["c", "a"]
