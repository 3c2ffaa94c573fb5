"""Our own tables, beside those of the queue library in the same database, and the way to reach it."""

import time

import sqlalchemy as sa
from sqlalchemy import event

metadata = sa.MetaData()

jobs = sa.Table(
    "jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("task", sa.String, nullable=False),
    sa.Column("priority", sa.String, nullable=False),
    sa.Column("request", sa.JSON, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("deadline_at", sa.Float),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("batch_id", sa.String),
    sa.Column("retry_of", sa.String),
    sa.Column("client_ref", sa.String),
    sa.Column("metadata", sa.JSON, nullable=False),
    sa.Column("progress", sa.JSON),
    sa.Column("seq", sa.Integer, nullable=False, default=0),
    sa.Index("jobs_by_owner", "owner", "created_at", "id"),
    sa.Index("jobs_by_batch", "batch_id"),
    sa.Index("jobs_by_deadline", "deadline_at"),
)
"""Request and progress of each job. Its state, outcome and attempts are the queue's."""

events = sa.Table(
    "events",
    metadata,
    sa.Column("job_id", sa.String, primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True),
    sa.Column("type", sa.String, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.Column("at", sa.Float, nullable=False),
)

files = sa.Table(
    "files",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("sha256", sa.String, nullable=False),
    sa.Column("info", sa.JSON, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("expires_at", sa.Float, nullable=False),
    sa.Index("files_by_sha256", "sha256"),
    sa.Index("files_by_expiry", "expires_at"),
)

batches = sa.Table(
    "batches",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("task", sa.String, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.Column("fingerprint", sa.String, nullable=False),
    sa.Column("items", sa.JSON, nullable=False),
)

removed_jobs = sa.Table(
    "removed_jobs",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("owner", sa.String, nullable=False),
    sa.Column("removed_at", sa.Float, nullable=False),
    sa.Index("removed_jobs_by_age", "removed_at"),
)
"""Jobs that the retention removed: their ids are answered with 410, unknown ones with 404."""

worker_metrics = sa.Table(
    "worker_metrics",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("families", sa.JSON, nullable=False),
    sa.Column("updated_at", sa.Float, nullable=False),
)
"""What each worker process has counted; the API process adds it up in `/metrics`."""

executors = sa.Table(
    "executors",
    metadata,
    sa.Column("id", sa.String, primary_key=True),
    sa.Column("beat", sa.Integer, nullable=False),
)
"""The worker processes that are alive, for the liveness of `service.queue`."""


def connect(url: str) -> sa.Engine:
    """An engine for `sqlite:///...` or `postgresql+psycopg://...`."""
    engine = sa.create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _prepare_sqlite)
    return engine


def _prepare_sqlite(connection, _record) -> None:
    connection.execute("PRAGMA busy_timeout = 30000")
    connection.execute("PRAGMA journal_mode = WAL")  # readers never wait for the writer


def create_tables(engine: sa.Engine) -> None:
    """Create what is missing. Safe for several processes at once: they take turns."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7237001)"))
        else:
            connection.execute(sa.text("BEGIN IMMEDIATE")) if not connection.in_transaction() else None
        metadata.create_all(connection)


def now() -> float:
    """Seconds since the epoch."""
    return time.time()
