"""What the handlers work with: built once in `create_app`, reached through typed dependencies."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Depends, Path, Request
from starlette.concurrency import run_in_threadpool

from api_schemas.jobs import Job
from service.auth import KeyRing, Owner
from service.batches import Batches, BatchRecord
from service.catalogue import Catalogue
from service.events import JobWatcher
from service.files import FileRepository, StoredFile
from service.metrics import ApiMetrics
from service.presentation import present
from service.problems import Refused
from service.queue.base import JobQueue, JobRecord
from service.results import Results
from service.retention import Retention
from service.settings import Settings
from service.stock import Stock
from service.submission import Submissions

ID = re.compile(r"[A-Za-z0-9_-]{1,100}")
"""Ids of anything; others are not looked up."""

Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Context:
    """The parts of the API process."""

    settings: Settings
    keys: KeyRing
    queue: JobQueue
    files: FileRepository
    catalogue: Catalogue
    stock: Stock
    submissions: Submissions
    batches: Batches
    results: Results
    retention: Retention
    watcher: JobWatcher
    metrics: ApiMetrics
    pixels: CapacityLimiter
    """Decoding takes memory: only so many requests do it at one time."""

    async def decode(self, work: Callable[..., Answer], *arguments: Any) -> Answer:
        """Run work on pixels in a thread, when its turn comes."""
        return await anyio.to_thread.run_sync(work, *arguments, limiter=self.pixels)

    async def load(self, owner: str, job_id: str) -> JobRecord:
        """The job. Another's is not there. Raises `job_not_found` and `job_expired`."""
        record = await run_in_threadpool(self.queue.get, job_id) if ID.fullmatch(job_id) else None
        if record is not None and record.owner == owner:
            return record
        if ID.fullmatch(job_id) and await run_in_threadpool(self.retention.was_removed, owner, job_id):
            raise Refused("job_expired", f"job {job_id} ended long ago and was removed")
        raise Refused("job_not_found", f"there is no job {job_id!r}")

    async def present(self, record: JobRecord) -> Job:
        """The job object, with its place while it waits."""
        place = await run_in_threadpool(self.queue.place, record.id) if record.status == "queued" else None
        return present(record, retention_s=self.settings.retention_s, place=place)


def get_context(request: Request) -> Context:
    return request.app.state.context


Ctx = Annotated[Context, Depends(get_context)]
JobId = Annotated[str, Path(description="id of a job")]
FileId = Annotated[str, Path(description="id of a file")]
BatchId = Annotated[str, Path(description="id of a batch")]


async def owned_job(ctx: Ctx, owner: Owner, job_id: JobId) -> JobRecord:
    return await ctx.load(owner, job_id)


async def owned_file(ctx: Ctx, owner: Owner, file_id: FileId) -> StoredFile:
    stored = await run_in_threadpool(ctx.files.get, owner, file_id) if ID.fullmatch(file_id) else None
    if stored is None:
        raise Refused("file_not_found", f"there is no file {file_id!r}")
    return stored


async def owned_batch(ctx: Ctx, owner: Owner, batch_id: BatchId) -> BatchRecord:
    batch = await run_in_threadpool(ctx.batches.get, owner, batch_id) if ID.fullmatch(batch_id) else None
    if batch is None:
        raise Refused("batch_not_found", f"there is no batch {batch_id!r}")
    return batch


OwnedJob = Annotated[JobRecord, Depends(owned_job)]
OwnedFile = Annotated[StoredFile, Depends(owned_file)]
OwnedBatch = Annotated[BatchRecord, Depends(owned_batch)]
