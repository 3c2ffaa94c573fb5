"""The client for ordinary programs. `async_client` is its twin; a test holds their methods equal."""

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Unpack

import httpx
from pydantic import BaseModel

from api_schemas.catalogue import InfoOut, OperatorList, PriorList, QueueOut, SolverList
from api_schemas.images import FileInfo
from api_schemas.jobs import Batch, Job
from client import _requests, operands
from client._answers import check, parse, verified
from client._connection import DEFAULT_URL, connection_options, request_options
from client._following import STREAM_UNUSABLE, Follower, OnProgress, Watch, succeeded
from client._retry import Attempts, RetryPolicy
from client.events import JobEvent
from client.operands import Kernel, Operator
from client.options import (
    ApplyOptions,
    DeblurOptions,
    DenoiseOptions,
    InpaintOptions,
    RestoreOptions,
    SuperResolutionOptions,
)
from client.pictures import Picture, name_of
from client.saving import write_atomically

T = TypeVar("T", bound=BaseModel)


class Rediffuse:
    """Talks to one Rediffuse service.

    >>> with Rediffuse() as service:
    ...     service.save(service.inpaint("photo.jpg", "mask.png"), "restored.png")

    Temporary failures are tried again; what creates a job carries one idempotency key through all its attempts, so that
    it runs once. Every method raises `RediffuseError` and its kinds; see `client.errors`.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        *,
        retry: RetryPolicy = RetryPolicy(),
        transport: httpx.BaseTransport | None = None,
    ):
        self.base_url = base_url
        self._retry = retry
        self._http = httpx.Client(**connection_options(base_url, api_key, timeout_s), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def inpaint(
        self,
        image: Picture,
        mask: Picture | None = None,
        *,
        wait_s: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[InpaintOptions],
    ) -> Job:
        """Fill the unknown pixels. White is unknown in `mask` unless `mask_mode` says otherwise.

        `wait_s` (at most 60) lets the service answer only when the job has ended, or that time is over.
        """
        return self._send(_requests.create("inpaint", image, mask, options, wait_s, idempotency_key))

    def super_resolution(
        self,
        image: Picture,
        scale: int = 2,
        *,
        wait_s: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[SuperResolutionOptions],
    ) -> Job:
        """Make the image `scale` times as wide and high."""
        fields = {"scale": scale, **options}
        return self._send(_requests.create("super_resolution", image, None, fields, wait_s, idempotency_key))

    def denoise(
        self,
        image: Picture,
        *,
        wait_s: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[DenoiseOptions],
    ) -> Job:
        """Remove noise of a level that is estimated, or given as `noise={"sigma": 0.1}` on the 0 to 1 scale."""
        return self._send(_requests.create("denoise", image, None, options, wait_s, idempotency_key))

    def deblur(
        self,
        image: Picture,
        kernel: Kernel,
        *,
        wait_s: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[DeblurOptions],
    ) -> Job:
        """Sharpen an image that was blurred by `kernel`: a description, or a picture of it."""
        fields = {"kernel": operands.kernel(kernel), **options}
        return self._send(_requests.create("deblur", image, None, fields, wait_s, idempotency_key))

    def restore(
        self,
        measurement: Picture,
        operator: Operator,
        *,
        wait_s: float | None = None,
        idempotency_key: str | None = None,
        **options: Unpack[RestoreOptions],
    ) -> Job:
        """Find the picture that `operator` made the measurement of; see `operators` for the kinds there are.

        A measurement that is no picture is the path or the bytes of an `.npy` file.
        """
        fields = {"operator": operands.operator(operator), **options}
        return self._send(_requests.create("restore", measurement, None, fields, wait_s, idempotency_key))

    def apply_operator(
        self,
        image: Picture,
        operator: Operator,
        direction: Literal["forward", "adjoint", "pseudoinverse"] = "forward",
        **options: Unpack[ApplyOptions],
    ) -> bytes:
        """What `operator` makes of a small image, as a file: to simulate a measurement, or to look at an operator.

        A picture ends at black and white; `output={"format": "npy"}` gives all values, as the bytes of an array.
        """
        request = _requests.apply(image, operator, direction, options)
        return verified(self._answer(request))

    def batch(
        self,
        task: str,
        images: Sequence[Picture],
        masks: Sequence[Picture] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Batch:
        """One job an image, all with the same options.

        Items that are refused hold a problem; a file that is no picture at all is refused, and raised, before that.
        """
        files = [self.upload(image) for image in images]
        mask_files = None if masks is None else [self.upload(mask) for mask in masks]
        names = [name_of(image) for image in images]
        return self._send(_requests.batch(task, files, mask_files, names, options, idempotency_key))

    def batch_status(self, batch: Batch | str) -> Batch:
        """How many of a batch's jobs stand where."""
        return self._send(_requests.batch_status(_requests.identifier(batch)))

    def cancel_batch(self, batch: Batch | str) -> Batch:
        """Ask for the end of every job of a batch."""
        return self._send(_requests.cancel_batch(_requests.identifier(batch)))

    def job(self, job: Job | str, wait_s: float | None = None) -> Job:
        """The job as it stands; with `wait_s` (at most 60), as soon as it has ended or when that time is over."""
        return self._send(_requests.job(_requests.identifier(job), wait_s))

    def jobs(self, **filters: Unpack[_requests.JobFilters]) -> Iterator[Job]:
        """Jobs, newest first, over as many pages as are read."""
        cursor = None
        while True:
            page = self._send(_requests.jobs(filters, cursor))
            yield from page.data
            cursor = page.next_cursor
            if not page.has_more or cursor is None:
                return

    def cancel(self, job: Job | str) -> Job:
        """Ask for the end of a job; a running one stops at its next step. No effect on one that has ended."""
        return self._send(_requests.cancel(_requests.identifier(job)))

    def retry(self, job: Job | str, *, idempotency_key: str | None = None, **overrides: Any) -> Job:
        """Run an ended job again as a new one; `seed`, `priority` and `params` may differ."""
        return self._send(_requests.retry(_requests.identifier(job), overrides, idempotency_key))

    def delete(self, job: Job | str) -> None:
        """Remove an ended job and its files."""
        self._answer(_requests.delete(_requests.identifier(job)))

    def events(self, job: Job | str, after: str | None = None) -> Iterator[JobEvent]:
        """What the job tells, up to its end; goes on where it was when the connection breaks."""
        return self._follow(Follower(_requests.identifier(job), after, self._attempts()))

    def wait(self, job: Job | str, timeout_s: float | None = None, on_progress: OnProgress | None = None) -> Job:
        """The job once it succeeded. Raises `JobFailedError` where it ends otherwise, `WaitTimeout` (it goes on)."""
        if isinstance(job, Job) and job.is_terminal:
            return succeeded(job)
        watch = Watch(job, timeout_s, on_progress)
        with suppress(*STREAM_UNUSABLE):
            attempts = self._attempts(until=watch.follow_until)
            for event in self._follow(Follower(watch.job_id, None, attempts)):
                watch.show(event.progress)
                if event.job is not None:
                    return succeeded(event.job)
        while True:
            state = self._send(_requests.job(watch.job_id, watch.poll_s()), self._attempts(until=watch.deadline))
            watch.show(state.progress)
            if state.is_terminal:
                return succeeded(state)
            time.sleep(watch.rest_s())

    def result_bytes(self, job: Job | str, artifact: str = "result") -> bytes:
        """The file of the result, or of another artifact, with its digest checked. Waits for the end of the job."""
        ended = self.wait(self.job(job) if isinstance(job, str) else job)
        return verified(self._answer(_requests.artifact(ended.id, artifact)), _requests.digest_of(ended, artifact))

    def save(self, job: Job | str, path: str | PathLike[str], artifact: str = "result") -> Path:
        """Write the result to `path`, whole or not at all, over what is there. Waits for the end of the job."""
        return write_atomically(path, self.result_bytes(job, artifact))

    def upload(self, file: Picture) -> FileInfo:
        """Store a picture on the service, to be used by several jobs."""
        return file if isinstance(file, FileInfo) else self._send(_requests.upload(file))

    def priors(self) -> PriorList:
        """The priors that jobs may name."""
        return self._send(_requests.priors())

    def solvers(self) -> SolverList:
        """The solvers, with the schemas of their parameters."""
        return self._send(_requests.solvers())

    def operators(self) -> OperatorList:
        """The operators that measurements may come from."""
        return self._send(_requests.operators())

    def queue(self) -> QueueOut:
        """How many jobs wait and run."""
        return self._send(_requests.queue())

    def info(self) -> InfoOut:
        """Version, limits and features of the service."""
        return self._send(_requests.info())

    def check_alive(self) -> None:
        """Raises `ConnectionFailed` at once where nobody answers."""
        self._answer(_requests.alive(), Attempts(RetryPolicy(retries=0), self.base_url))

    def _attempts(self, until: float | None = None) -> Attempts:
        return Attempts(self._retry, self.base_url, until)

    def _send(self, request: _requests.Request[T], attempts: Attempts | None = None) -> T:
        return parse(self._answer(request, attempts), request.answer)

    def _answer(self, request: _requests.Request[Any], attempts: Attempts | None = None) -> httpx.Response:
        attempts = attempts or self._attempts()
        message = self._http.build_request(**request_options(request, self._http.timeout))
        while True:
            try:
                response = self._http.send(message)
            except httpx.TransportError as error:
                pause_s: float | None = attempts.after_error(error)
            else:
                pause_s = attempts.after_answer(response)
                if pause_s is None:
                    check(response)
                    return response
            time.sleep(pause_s)

    def _follow(self, follower: Follower) -> Iterator[JobEvent]:
        while not follower.is_over:
            options = request_options(follower.request(), self._http.timeout, follower.silence_s)
            try:
                with self._http.stream(**options) as response:
                    if response.status_code != 200:
                        response.read()
                    pause_s = follower.opened(response)
                    if pause_s is None:
                        for chunk in response.iter_bytes():
                            yield from follower.feed(chunk)
                            if follower.is_over:
                                return
                        pause_s = follower.dropped()
            except httpx.TransportError as error:
                pause_s = follower.attempts.after_error(error)
            time.sleep(pause_s)
