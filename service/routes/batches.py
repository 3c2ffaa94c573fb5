"""Batches: many pictures in one request, each with its own mask and options."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api_schemas.jobs import Batch, JobList, JobStatus
from api_schemas.requests import BatchRequest
from service import examples, openapi, paging
from service.auth import Owner
from service.bodies import read_json
from service.context import Ctx, OwnedBatch
from service.idempotency import IdempotencyKey
from service.problems import responses
from service.submission import Origin

router = APIRouter(prefix="/v1/batches", tags=["batches"])
REFUSALS = (
    "malformed_request",
    "idempotency_in_progress",
    "file_too_large",
    "batch_too_large",
    "unsupported_media_type",
    "validation_failed",
    "idempotency_key_reused",
    "queue_full",
)


@router.post(
    "",
    status_code=202,
    responses=openapi.success(202, "jobs, and problems of what was refused", examples.BATCH) | responses(*REFUSALS),
    openapi_extra=openapi.json_body({"$ref": openapi.REF + "BatchRequest"}, examples.BATCH_REQUEST),
)
async def create_batch(
    request: Request, response: Response, ctx: Ctx, owner: Owner, key: IdempotencyKey = None
) -> Batch:
    """Queue a job for each item. An item that is refused does not hold the others back."""
    wanted = await read_json(request, BatchRequest, ctx.settings.max_file_bytes)
    batch = await ctx.decode(ctx.batches.create, Origin(owner, key), wanted)
    ctx.metrics.submitted.labels(batch.task).inc(len(batch.job_ids))
    response.headers["Location"] = f"/v1/batches/{batch.id}"
    return await run_in_threadpool(ctx.batches.present, batch)


@router.get("/{batch_id}", responses=openapi.success(200, "the batch", examples.BATCH) | responses("batch_not_found"))
async def get_batch(ctx: Ctx, batch: OwnedBatch) -> Batch:
    """How many jobs of the batch are in each state. Jobs that were removed are not counted."""
    return await run_in_threadpool(ctx.batches.present, batch)


@router.get(
    "/{batch_id}/jobs",
    responses=openapi.success(200, "a page, newest first", examples.JOB_LIST)
    | responses("batch_not_found", "validation_failed"),
)
async def list_batch_jobs(
    ctx: Ctx,
    batch: OwnedBatch,
    status: JobStatus | None = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")] = None,
) -> JobList:
    """Jobs of the batch, newest first."""
    before = paging.decode(cursor)
    found = await run_in_threadpool(
        ctx.queue.list, batch.owner, status=status, batch_id=batch.id, before=before, limit=limit + 1
    )
    return paging.page(found, limit, ctx.settings.retention_s)


@router.post(
    "/{batch_id}/cancel",
    status_code=202,
    responses=openapi.success(202, "its jobs end at their next step", examples.BATCH) | responses("batch_not_found"),
)
async def cancel_batch(ctx: Ctx, batch: OwnedBatch) -> Batch:
    """End every job of the batch that has not ended."""
    await run_in_threadpool(ctx.batches.cancel, batch)
    return await run_in_threadpool(ctx.batches.present, batch)
