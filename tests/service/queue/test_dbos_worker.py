"""What no contract test reaches: a database that is away for a moment, and what is kept out of the log."""

import asyncio
import logging

import pytest
import sqlalchemy as sa
from dbos import PortableWorkflowError

from service.queue import dbos_worker
from service.queue.dbos_worker import patiently

AWAY = [
    sa.exc.OperationalError("SELECT 1", {}, ConnectionError("server closed the connection")),
    sa.exc.InterfaceError("SELECT 1", {}, ConnectionError("the connection is closed")),
    sa.exc.TimeoutError("the pool is empty"),
]


@pytest.mark.parametrize("error", AWAY, ids=lambda error: type(error).__name__)
def test_a_database_that_is_away_delays_a_job_and_fails_it_not(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(dbos_worker, "DATABASE_RETRY_S", 0.001)
    calls = []

    def read(key: str) -> str:
        calls.append(key)
        if len(calls) < 4:
            raise error
        return "value"

    assert asyncio.run(patiently(read, "key")) == "value"
    assert calls == ["key"] * 4

    def wrong() -> None:
        raise sa.exc.IntegrityError("INSERT", {}, ValueError())

    with pytest.raises(sa.exc.IntegrityError):
        asyncio.run(patiently(wrong))


def test_the_log_keeps_what_is_unexpected_and_nothing_else() -> None:
    def record(message: str, error: BaseException | None = None) -> logging.LogRecord:
        exc_info = None if error is None else (type(error), error, None)
        return logging.LogRecord("dbos", logging.ERROR, "f", 1, message, None, exc_info)

    passes = dbos_worker._is_unexpected
    assert passes(record("Exception encountered in asynchronous workflow:", ZeroDivisionError()))
    assert passes(record("Exception in queue thread"))
    assert not passes(
        record("Exception encountered in asynchronous workflow:", PortableWorkflowError("d", "JobFailed"))
    )
    assert not passes(record("Asyncio task cancelled for workflow or step f"))
    assert not passes(record("Workflow x was cancelled during execution. Waiting for the recorded outcome"))
