"""Which jobs are left to a peer, and who sees them meanwhile."""

import time

import pytest
import sqlalchemy as sa

from service.database import executors, handovers
from service.queue.base import NewJob
from service.queue.dbos_queue import DbosQueue
from service.queue.handover import Handover
from service.queue.holdings import Holding, Holdings
from service.queue.liveness import Membership
from service.queue.tables import workflow_status
from tests.service.queue.sleepy_worker import SleepyPriors

P = ("p", "d")
REQUEST = {"prior": "p", "prior_digest": "d"}


def submit(queue: DbosQueue, job_id: str, request: dict[str, str] = REQUEST, running_on: str | None = None) -> None:
    queue.submit([NewJob(job_id, "ada", "denoise", "high", request, "f")])
    if running_on is not None:
        with queue.engine.begin() as connection:
            connection.execute(
                workflow_status.update()
                .where(workflow_status.c.workflow_uuid == job_id)
                .values(status="PENDING", executor_id=running_on)
            )


def worker(queue: DbosQueue, executor_id: str, priors: dict[tuple[str, str], str], capacity: int = 2) -> Handover:
    membership = Membership(queue.engine, 20)
    membership.enlist(executor_id)
    membership.mark_ready(executor_id)
    Holdings(queue.engine).publish(Holding(executor_id, priors, 2.0**30, capacity))
    holder = SleepyPriors()
    holder.priors = priors
    handover = Handover(queue, executor_id, holder)
    handover.has_peers = True
    return handover


def visible(queue: DbosQueue, handover: Handover) -> list[str]:
    """The queued jobs that this executor may claim."""
    ws = workflow_status.c
    query = sa.select(ws.workflow_uuid).where(ws.status == "ENQUEUED", *handover.not_for_us(ws.workflow_uuid))
    with queue.engine.connect() as connection:
        return list(connection.execute(query).scalars())


def status(queue: DbosQueue, job_id: str) -> str:
    record = queue.get(job_id)
    assert record is not None
    return record.status


def test_a_job_is_left_once_to_the_peer_that_has_its_prior_and_only_that_peer_sees_it(queue: DbosQueue) -> None:
    cold, warm, other = (worker(queue, name, held) for name, held in (("cold", {}), ("warm", {P: "ready"}), ("o", {})))
    submit(queue, "job", running_on="cold")
    assert cold.leave("job")
    record = queue.get("job")
    assert record is not None and (record.status, record.priority) == ("queued", "high")
    assert [visible(queue, each) for each in (cold, warm, other)] == [[], ["job"], []]
    submit(queue, "free")
    assert visible(queue, cold) == ["free"]
    with queue.engine.begin() as connection:  # its time is over
        connection.execute(handovers.update().values(until=time.time() - 0.01))
        connection.execute(workflow_status.update().values(status="PENDING", executor_id="cold"))
    assert not cold.leave("job")
    assert status(queue, "job") == "running"
    queue.cancel("job")
    queue.delete(["job"])
    with queue.engine.connect() as connection:
        assert connection.execute(sa.select(handovers)).all() == []


def test_what_is_left_to_a_dead_peer_is_for_everybody_at_once(queue: DbosQueue) -> None:
    cold, _ = worker(queue, "cold", {}), worker(queue, "warm", {P: "ready"})
    submit(queue, "job", running_on="cold")
    assert cold.leave("job") and visible(queue, cold) == []
    Membership(queue.engine, 20).dismiss("warm")
    assert visible(queue, cold) == ["job"]


def test_a_reservation_ends_by_itself(queue: DbosQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.queue.handover.GRACE_S", 0.0)
    cold, _ = worker(queue, "cold", {}), worker(queue, "warm", {P: "ready"})
    submit(queue, "job", running_on="cold")
    assert cold.leave("job")
    assert visible(queue, cold) == ["job"]


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        ({P: "ready"}, {P: "ready"}),
        ({P: "loading"}, {P: "ready"}),
        ({}, {}),
        ({}, {P: "loading"}),
        ({}, {("p", "other weights"): "ready"}),
    ],
)
def test_a_job_stays_where_leaving_it_would_not_help(queue: DbosQueue, mine: dict, theirs: dict) -> None:
    me, _ = worker(queue, "me", mine), worker(queue, "peer", theirs)
    submit(queue, "job", running_on="me")
    assert not me.leave("job")
    assert status(queue, "job") == "running" and visible(queue, me) == []


def test_a_job_without_a_prior_and_one_that_is_gone_stay(queue: DbosQueue) -> None:
    me, _ = worker(queue, "me", {}), worker(queue, "peer", {P: "ready"})
    submit(queue, "job", {}, running_on="me")
    assert not me.leave("job") and not me.leave("nobody")


def test_a_peer_gets_no_more_than_it_has_room_for(queue: DbosQueue) -> None:
    """One that it runs, and one that was left to it and waits."""
    cold, _ = worker(queue, "cold", {}), worker(queue, "warm", {P: "ready"}, capacity=2)
    submit(queue, "running", running_on="warm")
    for name in ("first", "second"):
        submit(queue, name, running_on="cold")
    assert cold.leave("first")
    assert not cold.leave("second")


def test_the_peer_with_the_most_room_gets_it(queue: DbosQueue) -> None:
    cold, _, roomy = (worker(queue, name, {P: "ready"} if name != "cold" else {}, 2) for name in ("cold", "a", "b"))
    submit(queue, "running", running_on="a")
    submit(queue, "job", running_on="cold")
    assert cold.leave("job")
    assert visible(queue, roomy) == ["job"]


def test_a_job_that_was_canceled_meanwhile_stays_canceled(queue: DbosQueue) -> None:
    cold, _ = worker(queue, "cold", {}), worker(queue, "warm", {P: "ready"})
    submit(queue, "job", running_on="cold")
    queue.cancel("job")
    assert cold.leave("job")  # it is not ours any more, in any case
    assert status(queue, "job") == "canceled"


def test_a_peer_that_does_not_take_jobs_yet_or_any_more_is_left_nothing(queue: DbosQueue) -> None:
    cold, _ = worker(queue, "cold", {}), worker(queue, "warm", {P: "ready"})
    submit(queue, "job", running_on="cold")
    with queue.engine.begin() as connection:
        connection.execute(executors.update().where(executors.c.id == "warm").values(ready=False))
    assert not cold.leave("job")


def test_who_has_no_peers_asks_the_database_nothing(queue: DbosQueue) -> None:
    alone = worker(queue, "alone", {})
    alone.has_peers = False
    submit(queue, "job", running_on="alone")
    asked: list[str] = []
    sa.event.listen(queue.engine, "before_cursor_execute", lambda *arguments: asked.append(arguments[2]))
    assert not alone.leave("job")
    assert alone.not_for_us(workflow_status.c.workflow_uuid) == []
    assert asked == []
