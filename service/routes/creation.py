"""What every route that creates a job does: read the headers, queue, answer 202 or wait."""

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import Depends, Header, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from service.auth import Owner
from service.bodies import TaskBody, read_task
from service.context import Context, Ctx
from service.idempotency import IdempotencyKey
from service.negotiation import MAX_WAIT_S, cancel_after, negotiate, prefer_wait
from service.presentation import error_of
from service.problems import Refused, wrong_field
from service.queue.base import JobRecord
from service.results import FORMATS, NPY
from service.submission import Origin

RETRY_AFTER_S = 10
REFUSALS = (
    "malformed_request",
    "file_not_found",
    "not_acceptable",
    "idempotency_in_progress",
    "job_failed",
    "job_canceled",
    "job_expired",
    "file_too_large",
    "unsupported_image",
    "unsupported_media_type",
    "validation_failed",
    "unknown_prior",
    "unknown_solver",
    "incompatible_prior",
    "image_too_many_pixels",
    "image_too_small",
    "mask_size_mismatch",
    "mask_empty",
    "mask_full",
    "scale_unsupported",
    "kernel_invalid",
    "operator_invalid",
    "operator_shape_mismatch",
    "idempotency_key_reused",
    "queue_full",
    "not_ready",
)
"""Problems of a route that creates a job. `job_...` come with `Prefer: wait` where only pictures are accepted."""


@dataclass(frozen=True)
class Creation:
    """A request that creates a job."""

    request: Request
    ctx: Context
    origin: Origin
    wait_s: int | None

    async def of_task(self, task: str) -> Response:
        """Queue what the body of a task's own address asks for."""
        return await self.of_body(await read_task(self.request, task, self.ctx.settings.max_file_bytes))

    async def of_body(self, body: TaskBody) -> Response:
        job_id = await self.ctx.decode(self.ctx.submissions.create, self.origin, body)
        self.ctx.metrics.submitted.labels(body.options.task).inc()
        return await self.answer(job_id)

    async def applied(self, body: TaskBody) -> Response:
        """The picture that an operator makes: a job like others, but one that is waited for. Raises `not_ready`, and
        `operator_invalid` where what it makes is not finite.

        For who accepts arrays only it is made as one.
        """
        if negotiate(self.request.headers.get("accept"), [*FORMATS, "application/json", NPY]) == NPY:
            output = body.options.output.model_copy(update={"format": "npy"})
            body = replace(body, options=body.options.model_copy(update={"output": output}))
        depth = await run_in_threadpool(self.ctx.queue.depth)
        if not depth.workers:
            raise Refused("not_ready", "no worker runs", headers={"Retry-After": str(RETRY_AFTER_S)})
        origin = replace(self.origin, key=None)  # one that was given up is made anew
        job_id = await self.ctx.decode(self.ctx.submissions.create, origin, body)
        self.ctx.metrics.submitted.labels(body.options.task).inc()
        await self.ctx.watcher.wait_for_end(job_id, MAX_WAIT_S if self.wait_s is None else self.wait_s)
        record = await self.ctx.load(self.origin.owner, job_id)
        if not record.is_terminal:
            await run_in_threadpool(self.ctx.queue.cancel, job_id)
            raise Refused("not_ready", "every worker is busy", headers={"Retry-After": str(RETRY_AFTER_S)})
        refuse_operator(record)
        return await self.ctx.decode(self.ctx.results.answer, self.request, record)

    async def answer(self, job_id: str) -> Response:
        """202 with the job; with `Prefer: wait` 200 with the ended job, or the picture for who accepts only that."""
        headers = {"Location": f"/v1/jobs/{job_id}"}
        if self.wait_s is not None:
            await self.ctx.watcher.wait_for_end(job_id, self.wait_s)
            headers["Preference-Applied"] = f"wait={self.wait_s}"
        record = await self.ctx.load(self.origin.owner, job_id)
        has_waited = record.is_terminal and self.wait_s is not None
        if has_waited and self.wants_picture:
            response = await self.ctx.decode(self.ctx.results.answer, self.request, record)
            response.headers.update(headers)
            return response
        return await self.job(record, 200 if has_waited else 202, headers)

    async def job(self, record: JobRecord, status: int, headers: dict[str, str]) -> Response:
        job = await self.ctx.present(record)
        return Response(job.model_dump_json(), status, headers, "application/json")

    @property
    def wants_picture(self) -> bool:
        chosen = negotiate(self.request.headers.get("accept"), ["application/json", *FORMATS, NPY])
        return chosen is not None and chosen != "application/json"


def refuse_operator(record: JobRecord) -> None:
    """Raises `operator_invalid` where a worker found that the operator gives no picture: an operator that is applied
    alone is the request itself, and what is wrong with it is no accident of a job."""
    error = error_of(record)
    if error is not None and error.code == "operator_invalid":
        raise wrong_field("/operator", "unusable", error.detail, problem_code=error.code)


async def creation(
    request: Request,
    ctx: Ctx,
    owner: Owner,
    key: IdempotencyKey = None,
    cancel: Annotated[
        str | None, Header(alias="Cancel-After", description="`30s`, `5m` or `1h`, like `deadline_s`", examples=["5m"])
    ] = None,
    prefer: Annotated[
        str | None,
        Header(
            alias="Prefer",
            description="`wait=n`: answer when the job has ended, or after n <= 60 s",
            examples=["wait=30"],
        ),
    ] = None,
) -> Creation:
    return Creation(request, ctx, Origin(owner, key, cancel_after(cancel)), prefer_wait(prefer))


Creating = Annotated[Creation, Depends(creation)]
