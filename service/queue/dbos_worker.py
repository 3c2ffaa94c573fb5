"""The queue on DBOS Transact, as a worker sees it: claims jobs and runs the body for each of them."""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import sqlalchemy as sa
import structlog
from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer, PortableWorkflowError
from dbos import error as dbos_error

from service.database import IDLE_TRANSACTION_S
from service.queue.base import Equipment, JobFailed, Json, WorkerBroken
from service.queue.dbos_queue import DbosQueue
from service.queue.gate import Gate
from service.queue.handover import Handover
from service.queue.keeper import Keeper
from service.queue.records import internal, worker_lost
from service.queue.reporter import DatabaseReporter
from service.queue.starts import Starts
from service.queue.tables import APP_NAME, APP_VERSION, QUEUE_NAME, WORKFLOW_NAME

POLL_INTERVAL_S = 0.1
"""How often an idle worker looks for jobs. Each look is about three short transactions."""

MAX_CLAIMS = 1000
"""Claims of one job after which DBOS gives it up. Far above `max_attempts`: claims are not starts, see `starts.py`."""

DATABASE_RETRY_S = 1.0
DATABASE_AWAY = (sa.exc.OperationalError, sa.exc.InterfaceError, sa.exc.TimeoutError)
"""It does not answer, or not on this connection, or has no connection left."""

ORDERLY_ENDS = (
    PortableWorkflowError,
    dbos_error.DBOSWorkflowCancelledError,
    dbos_error.DBOSAwaitedWorkflowCancelledError,
)

P = ParamSpec("P")
R = TypeVar("R")

log = structlog.get_logger(__name__)


class DbosWorker:
    """One executor. DBOS is one to a process, and so is this.

    The body runs in DBOS's event loop, so it must never block. It learns of the cancellation of its job within about a
    second, as `asyncio.CancelledError`.
    """

    def __init__(
        self,
        queue: DbosQueue,
        executor_id: str,
        equipment: Equipment,
        reporter: DatabaseReporter,
        *,
        concurrency: int,
        max_attempts: int,
        on_broken: Callable[[], None],
    ):
        """`on_broken` ends the process without a farewell; see `WorkerBroken`."""
        self.queue = queue
        self.executor_id = executor_id
        self.body = equipment.body
        self.reporter = reporter
        self.concurrency = concurrency
        self.max_attempts = max_attempts
        self.on_broken = on_broken
        self.gate = Gate(concurrency)
        self.starts = Starts(queue.engine, executor_id)
        self.handover = Handover(queue, executor_id, equipment.priors)
        self.keeper = Keeper(self.handover, concurrency)

    def start(self) -> None:
        """Begin to take jobs."""
        logging.getLogger("dbos").addFilter(_is_unexpected)
        config: DBOSConfig = {
            "name": APP_NAME,
            "system_database_url": _url(self.queue.engine),
            "application_version": APP_VERSION,
            "executor_id": self.executor_id,
            "serializer": DBOSPortableJSONSerializer(),
            "run_migrations": False,  # `prepare` did it
            "log_level": "WARNING",
            "sys_db_pool_size": 5,
            "sys_db_idle_transaction_timeout_sec": IDLE_TRANSACTION_S,
        }
        dbos = DBOS(config=config)

        @DBOS.step(name="attempt", preemptible=True)
        async def attempt() -> Json:
            return await self._attempt(DBOS.workflow_id)

        @DBOS.workflow(name=WORKFLOW_NAME, max_recovery_attempts=MAX_CLAIMS)
        async def restore() -> Json:
            outcome = await attempt()
            if "problem" in outcome:
                problem = outcome["problem"]
                raise PortableWorkflowError(problem["detail"], "JobFailed", problem["code"], problem)
            return outcome["result"]

        self.queue.register(self.concurrency, POLL_INTERVAL_S)
        self.keeper.start()
        DBOS.listen_queues([QUEUE_NAME])
        DBOS.launch()
        # DBOS knows no routing; this is where it lets a claim be narrowed
        claimed = dbos._sys_db.tables.workflow_status.c.workflow_uuid
        dbos._sys_db._claim_gate = lambda *_: self.handover.not_for_us(claimed)

    def stop(self, drain_s: float) -> None:
        """Take no more jobs; give the running ones `drain_s` to end, and the rest back to the queue."""
        self.gate.close()
        DBOS.destroy(workflow_completion_timeout_sec=0 if self.gate.is_empty else math.ceil(drain_s))
        self.reporter.stop()
        self.keeper.stop()
        self.starts.release()
        self.queue.requeue([self.executor_id])

    async def _attempt(self, job_id: str) -> Json:
        losses = await patiently(self.starts.losses, job_id)
        if losses >= self.max_attempts:
            return {"problem": worker_lost(losses)}
        if self.handover.has_peers and not losses and await patiently(self.handover.leave, job_id):
            raise asyncio.CancelledError(f"{job_id} was left to a peer")
        async with self.gate.passage(suspect=losses > 0):
            claim = await patiently(self.starts.open, job_id)
            if claim is None:
                raise asyncio.CancelledError(f"{job_id} is no longer ours")
            try:
                outcome = {"result": await self.body(claim)}
            except JobFailed as failure:
                outcome = {"problem": failure.problem}
            except WorkerBroken:
                self.on_broken()
                raise asyncio.CancelledError from None
            except Exception:  # noqa: BLE001 - whatever a body does, its job ends and the worker goes on
                log.exception("job failed unforeseen", job=job_id)
                outcome = {"problem": internal()}
            await patiently(self._before_outcome, job_id, outcome)
            return outcome

    def _before_outcome(self, job_id: str, outcome: Json) -> None:
        self.reporter.flush()  # once the job has ended, nothing more is written about it
        self.starts.close(job_id)
        if outcome.get("problem", {}).get("code") == "deadline_exceeded":
            self.queue.expire([job_id])


async def patiently(call: Callable[P, R], *args: P.args) -> R:
    """`call` in a thread, again and again while the database is away: that is no reason to fail a job."""
    while True:
        try:
            return await asyncio.to_thread(call, *args)
        except DATABASE_AWAY as error:
            log.warning("the database did not answer", error=str(error))
            await asyncio.sleep(DATABASE_RETRY_S)


def _url(engine: sa.Engine) -> str:
    return engine.url.render_as_string(hide_password=False)


def _is_unexpected(record: logging.LogRecord) -> bool:
    """Drop what DBOS logs, with a traceback, of each job that is canceled, given back or fails in an orderly way."""
    message = str(record.msg)
    if message.startswith("Asyncio task cancelled") or message.endswith("recorded outcome"):
        return False
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, ORDERLY_ENDS)
