"""What comes out of a job: its events, its result, its artifacts."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Path, Request
from fastapi.responses import Response
from fastapi.sse import EventSourceResponse, ServerSentEvent

from service import openapi
from service.context import Ctx, OwnedJob
from service.presentation import present, present_event
from service.problems import responses
from service.queue.base import JobRecord

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])
NAMES = "`result`, `preview` (the newest), `input`, `mask`, `sample_0` and so on, `uncertainty`, `uncertainty_raw`"
GONE = ("job_not_found", "job_expired")
NO_RESULT = ("job_failed", "job_canceled", "not_acceptable", "range_not_satisfiable")


@router.get(
    "/events",
    response_class=EventSourceResponse,
    responses=openapi.EVENTS | responses(*GONE, "validation_failed"),
)
async def follow_job(
    ctx: Ctx,
    job: OwnedJob,
    after: Annotated[
        int, Header(alias="Last-Event-ID", ge=0, lt=2**31, description="replay what came after this event")
    ] = 0,
) -> AsyncIterator[ServerSentEvent]:
    """Server-sent events of the job from its log; the last one has the whole job, then the stream ends."""
    last = after
    async for event in ctx.watcher.follow(job.id, after):
        if isinstance(event, JobRecord):
            ended = present(event, retention_s=ctx.settings.retention_s)
            yield ServerSentEvent(event=f"job.{event.status}", id=str(last + 1), data=ended.model_dump(mode="json"))
        else:
            last = event.seq
            yield ServerSentEvent(event=event.type, id=str(last), data=present_event(event))


@router.get(
    "/result",
    responses=openapi.RESULT
    | openapi.job_answer(202, "not yet; ask again after `Retry-After`")
    | responses(*GONE, *NO_RESULT),
)
async def get_result(request: Request, ctx: Ctx, job: OwnedJob) -> Response:
    """The restored picture, in the format that `Accept` names; the job itself with `application/json`.

    Every result can be had in every format of pictures. `application/x-npy` is there where the job had `output.format`
    `npy`, and is `not_acceptable` elsewhere: the numbers were rounded already.
    """
    return await ctx.decode(ctx.results.answer, request, job)


@router.get(
    "/artifacts/{name}",
    responses=openapi.ARTIFACT | responses(*GONE, "artifact_not_found", "range_not_satisfiable"),
)
async def get_artifact(
    request: Request,
    ctx: Ctx,
    job: OwnedJob,
    name: Annotated[str, Path(description=NAMES, examples=["result"])],
) -> Response:
    """One file of the job. Takes `Range` and `If-None-Match`."""
    return await ctx.decode(ctx.results.artifact, request, job, name)
