"""The thread that must not end while a process has workers; its decisions are tested in `test_liveness`."""

import pytest
import sqlalchemy as sa

from service.database import executors
from service.queue.base import NewJob
from service.queue.dbos_queue import DbosQueue
from service.queue.tables import workflow_status
from service.queue.upkeep import Upkeep
from tests.service.queue.processes import wait_for

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def beat_of(queue: DbosQueue, executor_id: str) -> int | None:
    with queue.engine.connect() as connection:
        return connection.execute(sa.select(executors.c.beat).where(executors.c.id == executor_id)).scalar()


def give_job_to(queue: DbosQueue, executor_id: str) -> None:
    """As DBOS does when an executor claims a job."""
    queue.submit([NewJob("job", "ada", "denoise", "normal", {}, "f")])
    with queue.engine.begin() as connection:
        connection.execute(workflow_status.update().values(status="PENDING", executor_id=executor_id))


def status(queue: DbosQueue) -> str:
    record = queue.get("job")
    assert record is not None
    return record.status


def test_the_jobs_of_an_executor_that_is_dropped_go_back_at_once(queue: DbosQueue) -> None:
    upkeep = Upkeep(queue, 20, on_fenced=pytest.fail)
    upkeep.adopt("me")
    give_job_to(queue, "me")
    upkeep.tick()
    assert (status(queue), beat_of(queue, "me")) == ("running", 1)
    upkeep.drop("me")
    upkeep.tick()
    assert (status(queue), beat_of(queue, "me")) == ("queued", None)


def test_who_was_declared_dead_is_told_once(queue: DbosQueue) -> None:
    fenced: list[str] = []
    upkeep = Upkeep(queue, 20, on_fenced=fenced.append)
    upkeep.adopt("me")
    with queue.engine.begin() as connection:
        connection.execute(executors.delete())
    upkeep.tick()
    upkeep.tick()
    assert fenced == ["me"]


@pytest.mark.parametrize("error", [sa.exc.OperationalError("SELECT 1", {}, ConnectionError()), KeyError("unforeseen")])
def test_it_goes_on_after_a_round_that_failed(
    queue: DbosQueue, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [error]
    reap = Upkeep(queue, 20, on_fenced=pytest.fail).membership.reap

    def failing(mine: set[str]) -> list[str]:
        if failures:
            raise failures.pop()
        return reap(mine)

    upkeep = Upkeep(queue, 20, on_fenced=pytest.fail)
    monkeypatch.setattr(upkeep.membership, "reap", failing)
    upkeep.adopt("me")
    upkeep.start()
    wait_for(lambda: not failures, "the failure")
    give_job_to(queue, "lost")  # an executor that nobody knows
    upkeep._wake.set()
    wait_for(lambda: status(queue) == "queued", "the round after it")
    upkeep.stop()


def test_who_cannot_beat_stops_before_others_think_it_dead(queue: DbosQueue) -> None:
    fenced: list[str] = []
    upkeep = Upkeep(queue, 20, on_fenced=fenced.append)
    upkeep.adopt("me")
    with queue.engine.begin() as connection:
        connection.execute(sa.text("ALTER TABLE executors RENAME TO away"))
    upkeep._round()
    assert fenced == []
    upkeep.membership._last_beat["me"] -= 17
    upkeep._round()
    assert fenced == ["me"]
