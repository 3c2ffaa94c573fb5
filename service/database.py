"""Our own tables, beside those of the queue library in the same database, and the way to reach it."""

import sqlite3
import time
from pathlib import Path

import psycopg
import sqlalchemy as sa
from sqlalchemy import event

CONNECT_TIMEOUT_S = 5
BUSY_TIMEOUT_S = 30
"""How long a writer of SQLite waits for another."""
IDLE_TRANSACTION_S = 10
"""When PostgreSQL ends a session that waits inside a transaction: its process is frozen, or its host is gone, and what
it has locked would hold up the recovery of its own jobs."""

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
    sa.Column("attempt", sa.Integer, nullable=False, default=0),
    sa.Column("losses", sa.Integer, nullable=False, default=0),
    sa.Column("running_on", sa.String),
    sa.Column("started_at", sa.Float),
    sa.Column("ended_at", sa.Float),
    sa.Index("jobs_by_owner", "owner", "created_at", "id"),
    sa.Index("jobs_by_batch", "batch_id"),
    sa.Index("jobs_by_deadline", "deadline_at"),
)
"""Request, progress and starts of each job. Its state and its outcome are the queue's.

`seq` is the number of the newest event. `attempt` counts the starts of the body, `losses` those whose worker was lost.
`running_on` is the executor of the newest start; an executor that gives a job back clears it, one that dies cannot.
"""

job_inputs = sa.Table(
    "job_inputs",
    metadata,
    sa.Column("sha256", sa.String, primary_key=True),
    sa.Column("job_id", sa.String, primary_key=True),
    sa.Index("job_inputs_by_job", "job_id"),
)
"""Which input blobs a job needs, so that the retention keeps them."""

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
    sa.Column("ready", sa.Boolean, nullable=False, default=False),
)
"""The worker processes that are alive, for `service.queue.liveness`. `ready` once one takes jobs."""

holdings = sa.Table(
    "holdings",
    metadata,
    sa.Column("executor_id", sa.String, primary_key=True),
    sa.Column("priors", sa.JSON, nullable=False),
    sa.Column("prior_memory", sa.Float),
    sa.Column("capacity", sa.Integer, nullable=False),
)
"""Which priors each worker process has in memory, for `service.queue.holdings`."""

handovers = sa.Table(
    "handovers",
    metadata,
    sa.Column("job_id", sa.String, primary_key=True),
    sa.Column("executor_id", sa.String, nullable=False),
    sa.Column("until", sa.Float, nullable=False),
    sa.Index("handovers_by_time", "until"),
)
"""Jobs that a worker left to another, for `service.queue.handover`. `until` is on `clock`."""

prior_orders = sa.Table(
    "prior_orders",
    metadata,
    sa.Column("executor_id", sa.String, primary_key=True),
    sa.Column("prior", sa.String, primary_key=True),
    sa.Column("digest", sa.String, nullable=False),
    sa.Column("load", sa.Boolean, nullable=False),
)
"""Priors that a worker was asked to load or to let go of; it deletes what it has read."""


def connect(url: str) -> sa.Engine:
    """An engine for `sqlite:///...` or `postgresql+psycopg://...`."""
    if url.startswith("sqlite"):
        Path(sa.make_url(url).database).parent.mkdir(parents=True, exist_ok=True)
        engine = sa.create_engine(url)
        event.listen(engine, "connect", _prepare_sqlite)
        # the queue library keeps its tables in a schema of PostgreSQL; SQLite has no schemas
        return engine.execution_options(schema_translate_map={"dbos": None})
    url = sa.make_url(url).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": CONNECT_TIMEOUT_S})
    # Several rows in one statement. The driver's `executemany` ends in a flush of its pipeline, after which PostgreSQL
    # does not end an idle transaction any more.
    engine.dialect.use_insertmanyvalues_wo_returning = True
    event.listen(engine, "connect", _prepare_postgresql)
    event.listen(engine, "handle_error", _as_away, retval=True)
    return engine


def _prepare_postgresql(connection: psycopg.Connection, _record: object) -> None:
    # not among the `options` of the connection: a pooler between us and the server may refuse those
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_TRANSACTION_S}s'")
    connection.commit()  # the pool's roll-back would undo it


def _as_away(context: sa.ExceptionContext) -> sa.exc.OperationalError | None:
    """Whose session was ended so sees a database that went away; the driver calls this one an internal error."""
    error = context.original_exception
    if not isinstance(error, psycopg.errors.IdleInTransactionSessionTimeout):
        return None
    return sa.exc.OperationalError(context.statement, context.parameters, error, connection_invalidated=True)


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}")
    # The first process turns on the write-ahead log, where readers never wait for the writer. SQLite does not wait by
    # itself for this change while others are connected.
    give_up_at = time.monotonic() + BUSY_TIMEOUT_S
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.05)


def create_tables(engine: sa.Engine) -> None:
    """Create what is missing. Safe for several processes at once: they take turns."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(7237001)"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver itself begins only at an INSERT
        metadata.create_all(connection)


def clock(engine: sa.Engine) -> sa.ColumnElement[float]:
    """Seconds since the epoch on the one clock that all processes of a database share."""
    if engine.dialect.name == "postgresql":
        return sa.cast(sa.extract("epoch", sa.func.clock_timestamp()), sa.Float(53))
    return sa.literal(time.time())  # SQLite lives on one host


def now() -> float:
    """Seconds since the epoch."""
    return time.time()
