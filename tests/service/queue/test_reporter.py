import sqlalchemy as sa

from service.database import jobs
from service.queue.base import NewJob
from service.queue.dbos_queue import DbosQueue
from service.queue.reporter import DatabaseReporter
from service.queue.tables import workflow_status
from tests.service.queue.processes import wait_for


def running_job(queue: DbosQueue, job_id: str, executor_id: str = "me") -> None:
    queue.submit([NewJob(job_id, "ada", "denoise", "normal", {}, "f")])
    with queue.engine.begin() as connection:
        connection.execute(workflow_status.update().values(status="PENDING"))
        connection.execute(jobs.update().where(jobs.c.id == job_id).values(running_on=executor_id))


def log(queue: DbosQueue, job_id: str) -> list[tuple[int, str, object]]:
    return [(event.seq, event.type, event.data) for event in queue.events_after({job_id: 0})][1:]


def test_the_newest_progress_wins_and_no_other_event_is_lost(queue: DbosQueue) -> None:
    running_job(queue, "a")
    running_job(queue, "b")
    reporter = DatabaseReporter(queue.engine, "me")
    reporter.started("a", {"n": 1})
    for step in range(100):
        reporter.progress("a", {"step": step})
        reporter.progress("b", {"step": -step})
    reporter.preview("a", {"n": 2})
    reporter.flush()
    assert log(queue, "a") == [
        (2, "job.started", {"n": 1}),
        (3, "job.preview", {"n": 2}),
        (4, "job.progress", {"step": 99}),
    ]
    assert log(queue, "b") == [(2, "job.progress", {"step": -99})]
    reporter.progress("a", {"step": 100})
    reporter.warning("a", {"n": 3})
    reporter.flush()
    assert log(queue, "a")[2:] == [(5, "job.warning", {"n": 3}), (6, "job.progress", {"step": 100})]
    record = queue.get("a")
    assert record is not None and record.progress == {"step": 100}


def test_nothing_is_said_of_a_job_that_is_not_ours_any_more(queue: DbosQueue) -> None:
    running_job(queue, "moved", executor_id="another")
    running_job(queue, "ended")
    queue.cancel("ended")
    reporter = DatabaseReporter(queue.engine, "me")
    for job_id in ("moved", "ended", "unknown"):
        reporter.progress(job_id, {"step": 1})
        reporter.warning(job_id, {"n": 1})
    reporter.flush()
    assert log(queue, "moved") == log(queue, "ended") == log(queue, "unknown") == []
    assert queue.get("ended").progress is None


def test_the_progress_of_the_new_owner_outlives_what_the_old_one_still_says(queue: DbosQueue) -> None:
    running_job(queue, "moved", executor_id="another")
    new, old = DatabaseReporter(queue.engine, "another"), DatabaseReporter(queue.engine, "me")
    new.progress("moved", {"step": 7})
    new.flush()
    old.progress("moved", {"step": 99})
    old.flush()
    assert log(queue, "moved") == [(2, "job.progress", {"step": 7})]


def test_what_no_database_takes_does_not_hold_up_what_comes_after(queue: DbosQueue) -> None:
    running_job(queue, "a")
    reporter = DatabaseReporter(queue.engine, "me")
    reporter.warning("a", {"n": object()})
    reporter.flush()
    reporter.warning("a", {"n": 2})
    reporter.flush()
    assert log(queue, "a") == [(2, "job.warning", {"n": 2})]


def test_what_could_not_be_written_is_kept_in_order_and_newer_progress_wins(queue: DbosQueue) -> None:
    running_job(queue, "a")
    reporter = DatabaseReporter(queue.engine, "me")
    with queue.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE events RENAME TO away"))
    reporter.started("a", {"n": 1})
    reporter.progress("a", {"step": 1})
    reporter.flush()
    with queue.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE away RENAME TO events"))
    reporter.warning("a", {"n": 2})
    reporter.progress("a", {"step": 2})
    reporter.flush()
    assert log(queue, "a") == [
        (2, "job.started", {"n": 1}),
        (3, "job.warning", {"n": 2}),
        (4, "job.progress", {"step": 2}),
    ]


def test_the_thread_writes_by_itself_and_stop_writes_the_rest(queue: DbosQueue) -> None:
    running_job(queue, "a")
    reporter = DatabaseReporter(queue.engine, "me")
    reporter.start()
    reporter.started("a", {})
    wait_for(lambda: log(queue, "a"), "the first event")
    reporter.warning("a", {})
    reporter.stop()
    assert [type_ for _, type_, _ in log(queue, "a")] == ["job.started", "job.warning"]
