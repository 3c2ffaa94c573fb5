"""What is removed when its time is over: ended jobs with what they made, files, batches, figures of dead workers."""

import asyncio
from dataclasses import dataclass

import sqlalchemy as sa
import structlog
from sqlalchemy.exc import IntegrityError
from starlette.concurrency import run_in_threadpool

from service import database
from service.files import FileRepository
from service.metrics import retire
from service.queue.base import JobQueue, JobRecord
from service.queue.rows import digests
from service.storage import Storage, job_prefix

INTERVAL_S = 60.0
PAGE = 200
RETIRE_S = 3600.0
"""Figures of a worker that stopped so long ago are folded into one row."""

removed = database.removed_jobs
batches = database.batches


@dataclass(frozen=True)
class Retention:
    """Blocking; several processes may sweep at once."""

    engine: sa.Engine
    queue: JobQueue
    storage: Storage
    files: FileRepository
    retention_s: float

    def sweep(self, moment: float) -> int:
        """Remove what ended `retention_s` before `moment`; returns the number of jobs."""
        count = 0
        while ids := self.queue.ended_before(moment - self.retention_s, PAGE):
            records = self.queue.get_many(ids)
            for record in records:
                self._bury(record, moment)
            self.forget(records)
            self.queue.delete([job_id for job_id in ids if job_id not in {record.id for record in records}])
            count += len(ids)
        self.files.expire(moment)
        old = moment - 4 * self.retention_s
        with self.engine.begin() as connection:
            connection.execute(removed.delete().where(removed.c.removed_at < old))
            connection.execute(batches.delete().where(batches.c.created_at < old))
        retire(self.engine, moment - RETIRE_S)
        return count

    def forget(self, records: list[JobRecord]) -> None:
        """Remove jobs that have ended: first what they made, then their rows, then the inputs that nobody needs now."""
        for record in records:
            self.storage.delete_prefix(job_prefix(record.id))
        self.queue.delete([record.id for record in records])
        self.files.release([sha256 for record in records for sha256 in digests(record.request)])

    def was_removed(self, owner: str, job_id: str) -> bool:
        query = sa.select(removed.c.id).where(removed.c.id == job_id, removed.c.owner == owner)
        with self.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def _bury(self, record: JobRecord, moment: float) -> None:
        try:
            with self.engine.begin() as connection:
                connection.execute(removed.insert().values(id=record.id, owner=record.owner, removed_at=moment))
        except IntegrityError:  # another process is removing it, too
            return

    async def run(self) -> None:
        """Sweep every minute until cancelled."""
        while True:
            try:
                await run_in_threadpool(self.sweep, database.now())
            # Whatever the database or the object store says, the next minute tries again; nothing depends on this one.
            except Exception as error:  # noqa: BLE001
                structlog.get_logger().warning("retention failed", reason=str(error))
            await asyncio.sleep(INTERVAL_S)
