"""What both sides of the queue agree on: names, states, and the tables of DBOS that we read (it documents them)."""

import sqlalchemy as sa

APP_NAME = "rediffuse"
APP_VERSION = "1"
"""A constant: DBOS gives a job only to workers of its version, and its automatic version strands jobs at each update.

Raise it when workers of the new version cannot run the queued jobs of the old one.
"""
QUEUE_NAME = "jobs"
WORKFLOW_NAME = "restore"

PRIORITIES = {"high": 1, "normal": 2, "low": 3}
"""1 is first. Always set: DBOS runs jobs without a priority before all others."""

QUEUED = ("ENQUEUED", "DELAYED")
RUNNING = ("PENDING",)
SUCCEEDED = ("SUCCESS",)
FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
CANCELED = ("CANCELLED",)
"""By a user, or by its deadline: `jobs.cancel_requested` tells which."""
ACTIVE = QUEUED + RUNNING

_dbos = sa.MetaData(schema="dbos")

workflow_status = sa.Table(
    "workflow_status",
    _dbos,
    sa.Column("workflow_uuid", sa.Text, primary_key=True),
    sa.Column("status", sa.Text),
    sa.Column("name", sa.Text),
    sa.Column("executor_id", sa.Text),
    sa.Column("queue_name", sa.Text),
    sa.Column("priority", sa.Integer),
    sa.Column("created_at", sa.BigInteger),
    sa.Column("completed_at", sa.BigInteger),
)
"""Times are in milliseconds, on SQLite whole seconds."""

workflow_output = sa.Table(
    "workflow_output",
    _dbos,
    sa.Column("workflow_uuid", sa.Text, primary_key=True),
    sa.Column("output", sa.Text),
    sa.Column("error", sa.Text),
)


def in_state(job_id: sa.ColumnElement[str], *states: str) -> sa.ColumnElement[bool]:
    """Whether the job of this id is in one of the states."""
    return sa.exists().where(workflow_status.c.workflow_uuid == job_id, workflow_status.c.status.in_(states))
