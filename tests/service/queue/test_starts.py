from service.database import jobs
from service.queue.base import NewJob
from service.queue.dbos_queue import DbosQueue
from service.queue.starts import Starts, release
from service.queue.tables import workflow_status


def claim(queue: DbosQueue, executor_id: str) -> None:
    with queue.engine.begin() as connection:
        connection.execute(workflow_status.update().values(status="PENDING", executor_id=executor_id))


def submit(queue: DbosQueue) -> None:
    queue.submit([NewJob("a", "ada", "denoise", "normal", {"seed": 7}, "f", deadline_at=99.0)])


def test_a_start_gives_the_claim_and_counts_the_attempt(queue: DbosQueue) -> None:
    submit(queue)
    claim(queue, "one")
    starts = Starts(queue.engine, "one")
    got = starts.open("a")
    assert got is not None
    assert (got.id, got.owner, got.task, got.request, got.attempt, got.deadline_at, got.losses) == (
        "a",
        "ada",
        "denoise",
        {"seed": 7},
        1,
        99.0,
        0,
    )
    starts.close("a")
    record = queue.get("a")
    assert record is not None and record.attempt == 1 and record.started_at is not None


def test_a_start_that_was_not_taken_back_is_a_loss(queue: DbosQueue) -> None:
    submit(queue)
    for number, executor_id in enumerate(["one", "two", "three"]):
        claim(queue, executor_id)
        starts = Starts(queue.engine, executor_id)
        assert starts.losses("a") == number
        got = starts.open("a")
        assert got is not None and (got.attempt, got.losses) == (number + 1, number)


def test_a_claim_without_a_start_and_a_start_that_was_taken_back_are_none(queue: DbosQueue) -> None:
    submit(queue)
    claim(queue, "one")  # and dies before the body starts
    claim(queue, "two")
    two = Starts(queue.engine, "two")
    assert two.losses("a") == 0
    two.open("a")
    two.release()
    claim(queue, "three")
    three = Starts(queue.engine, "three")
    assert three.losses("a") == 0
    got = three.open("a")
    assert got is not None and (got.attempt, got.losses) == (2, 0)
    release(queue.engine, "two")  # too late, and none of its business
    claim(queue, "four")
    assert Starts(queue.engine, "four").losses("a") == 1


def test_a_start_that_is_written_twice_is_no_loss(queue: DbosQueue) -> None:
    submit(queue)
    claim(queue, "one")
    starts = Starts(queue.engine, "one")
    starts.open("a")  # the answer of the database was lost on the way
    got = starts.open("a")
    assert got is not None and (got.attempt, got.losses) == (2, 0)


def test_nobody_starts_or_closes_what_is_not_theirs(queue: DbosQueue) -> None:
    submit(queue)
    zombie = Starts(queue.engine, "zombie")
    assert zombie.open("a") is None  # not claimed
    claim(queue, "zombie")
    assert zombie.open("a") is not None
    claim(queue, "heir")
    assert zombie.open("a") is None
    zombie.close("a")
    with queue.engine.connect() as connection:
        assert connection.execute(jobs.select()).one().ended_at is None
    heir = Starts(queue.engine, "heir")
    assert heir.open("a") is not None
    queue.cancel("a")
    assert heir.open("a") is None
