"""Jobs: create, list, look, cancel, retry, delete."""

import hashlib
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api_schemas.jobs import JobList, JobStatus
from api_schemas.requests import JobRequest, RetryRequest, Task
from service import examples, openapi, paging
from service.auth import Owner
from service.bodies import from_json, read_json
from service.context import Ctx, OwnedJob
from service.downloads import etag_matches, not_modified
from service.negotiation import MAX_WAIT_S
from service.problems import Refused, responses
from service.routes.creation import REFUSALS, Creating

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
GONE = ("job_not_found", "job_expired")


@router.post("", status_code=202, responses=openapi.creates_job(*REFUSALS), openapi_extra=openapi.job_body())
async def create_job(creation: Creating) -> Response:
    """Queue a job of any task."""
    body = await read_json(creation.request, JobRequest, creation.ctx.settings.max_file_bytes)
    return await creation.of_body(from_json(body))


@router.get(
    "", responses=openapi.success(200, "a page, newest first", examples.JOB_LIST) | responses("validation_failed")
)
async def list_jobs(
    ctx: Ctx,
    owner: Owner,
    status: JobStatus | None = None,
    task: Task | None = None,
    batch_id: Annotated[str | None, Query(pattern=paging.ID)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=500, description="`next_cursor` of the page before")] = None,
) -> JobList:
    """Jobs of this key, newest first. Their places in the queue are told one by one only, at each job's own address."""
    before = paging.decode(cursor)
    found = await run_in_threadpool(
        ctx.queue.list, owner, status=status, task=task, batch_id=batch_id, before=before, limit=limit + 1
    )
    return paging.page(found, limit, ctx.settings.retention_s)


@router.get(
    "/{job_id}",
    responses=openapi.job_answer(200, "the job") | responses(*GONE, "validation_failed") | openapi.UNCHANGED,
)
async def get_job(
    request: Request,
    ctx: Ctx,
    job: OwnedJob,
    wait: Annotated[
        float,
        Query(
            ge=0, allow_inf_nan=False, description="answer when the job has ended, or after so many seconds, at most 60"
        ),
    ] = 0,
) -> Response:
    """The job as it stands."""
    if wait and not job.is_terminal:
        await ctx.watcher.wait_for_end(job.id, min(wait, MAX_WAIT_S))
        job = await ctx.load(job.owner, job.id)
    body = (await ctx.present(job)).model_dump_json()
    etag = f'"{hashlib.sha256(body.encode()).hexdigest()}"'
    if etag_matches(request, etag):
        return not_modified(etag)
    return Response(body, headers={"ETag": etag, "Cache-Control": "private, no-cache"}, media_type="application/json")


@router.post(
    "/{job_id}/cancel",
    status_code=202,
    responses=openapi.job_answer(202, "it will end at its next step")
    | openapi.job_answer(200, "it has ended")
    | responses(*GONE),
)
async def cancel_job(ctx: Ctx, job: OwnedJob) -> Response:
    """End a job. Doing it twice is fine."""
    if not job.is_terminal:
        await run_in_threadpool(ctx.queue.cancel, job.id)
        before, job = job, await ctx.load(job.owner, job.id)
        if job.status == "canceled" and before.status == "queued":
            ctx.metrics.jobs.job_finished(job.task, job.request.get("solver", ""), "canceled")
    body = (await ctx.present(job)).model_dump_json()
    return Response(body, 200 if job.is_terminal else 202, media_type="application/json")


@router.post(
    "/{job_id}/retry",
    status_code=202,
    responses=openapi.creates_job(*REFUSALS, "job_not_found", "job_not_terminal", "inputs_expired"),
    openapi_extra=openapi.json_body({"$ref": openapi.REF + "RetryRequest"}, examples.RETRY, required=False),
)
async def retry_job(creation: Creating, job: OwnedJob) -> Response:
    """Queue an ended job again, as a new job, with the same seed unless another is given."""
    ctx = creation.ctx
    changes = await read_json(creation.request, RetryRequest, ctx.settings.max_file_bytes, empty=b"{}")
    job_id = await run_in_threadpool(ctx.submissions.retry, creation.origin, job, changes)
    ctx.metrics.submitted.labels(job.task).inc()
    return await creation.answer(job_id)


@router.delete("/{job_id}", status_code=204, responses=responses(*GONE, "job_not_terminal"))
async def delete_job(ctx: Ctx, job: OwnedJob) -> None:
    """Remove an ended job and what it made."""
    if not job.is_terminal:
        raise Refused("job_not_terminal", f"the job is {job.status}; cancel it first")
    await run_in_threadpool(ctx.retention.forget, [job])
