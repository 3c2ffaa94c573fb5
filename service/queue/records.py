"""From rows to `JobRecord`: our row of a job joined with its state in DBOS."""

import json

import sqlalchemy as sa
import structlog

from api_schemas.problems import problem
from service.database import jobs
from service.queue.base import JobRecord, Json
from service.queue.tables import CANCELED, FAILED, QUEUED, RUNNING, SUCCEEDED, workflow_output, workflow_status

log = structlog.get_logger(__name__)

_state = workflow_status.c.status

IN_STATUS: dict[str, sa.ColumnElement[bool]] = {
    "queued": _state.in_(QUEUED),
    "running": _state.in_(RUNNING),
    "succeeded": _state.in_(SUCCEEDED),
    "failed": _state.in_(FAILED),
    "canceled": _state.in_(CANCELED) & jobs.c.cancel_requested,
    "expired": _state.in_(CANCELED) & ~jobs.c.cancel_requested,
}
"""The condition of each status of a job."""

SELECT_RECORDS = (
    sa.select(
        jobs, _state.label("state"), workflow_status.c.completed_at, workflow_output.c.output, workflow_output.c.error
    )
    .join(workflow_status, workflow_status.c.workflow_uuid == jobs.c.id)
    .outerjoin(workflow_output, workflow_output.c.workflow_uuid == jobs.c.id)
)


def record_of(row: sa.Row) -> JobRecord:
    """The record of one row of `SELECT_RECORDS`."""
    status = _status(row.state, row.cancel_requested)
    ended = status not in ("queued", "running")
    return JobRecord(
        id=row.id,
        owner=row.owner,
        task=row.task,
        status=status,
        cancel_requested=row.cancel_requested,
        priority=row.priority,
        request=row.request,
        fingerprint=row.fingerprint,
        created_at=row.created_at,
        started_at=None if status == "queued" else row.started_at,
        finished_at=_finished_at(row) if ended else None,
        deadline_at=row.deadline_at,
        attempt=row.attempt,
        progress=row.progress,
        result=json.loads(row.output) if status == "succeeded" else None,
        error=_error(row, status),
        batch_id=row.batch_id,
        retry_of=row.retry_of,
        client_ref=row.client_ref,
        metadata=row.metadata,
    )


def _status(state: str, cancel_requested: bool) -> str:
    if state in QUEUED:
        return "queued"
    if state in RUNNING:
        return "running"
    if state in SUCCEEDED:
        return "succeeded"
    if state in FAILED:
        return "failed"
    return "canceled" if cancel_requested else "expired"


def _finished_at(row: sa.Row) -> float:
    """What the one who ended the job wrote down; else the time of DBOS, which is cut to whole seconds on SQLite."""
    return row.ended_at or max(row.completed_at / 1000, row.started_at or row.created_at)


def _error(row: sa.Row, status: str) -> Json | None:
    if status == "expired":
        return problem("deadline_exceeded", "The job did not end before its deadline.").model_dump(mode="json")
    if status != "failed":
        return None
    if row.error is None:
        return worker_lost(row.losses)
    failure = json.loads(row.error)
    if isinstance(failure.get("data"), dict) and "code" in failure["data"]:
        return failure["data"]
    log.error("job failed outside its body", job=row.id, error=failure.get("message"))
    return internal()


def worker_lost(times: int) -> Json:
    """The problem of a job that took its worker with it too often."""
    detail = f"The job lost its worker {times} times." if times else "The job lost its worker too many times."
    return problem("worker_lost", detail).model_dump(mode="json")


def internal() -> Json:
    """The problem of a failure that nobody foresaw; what happened is in the log only."""
    return problem("internal", "The job failed for a reason that we did not foresee.").model_dump(mode="json")
