"""The port of the queue: what the service asks of it, whichever library is behind.

The queue's own tables are the record of a job's state. Ours hold the request, the progress and the keys of the results.
Times are seconds since the epoch, UTC.
"""

from __future__ import annotations  # a method is named `list`

from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Protocol

Json = dict[str, Any]


@dataclass(frozen=True)
class NewJob:
    """A job to be queued. `request` is fully resolved: it holds seed, prior, digest, parameters and blob keys."""

    id: str
    owner: str
    task: str
    priority: str
    """`low`, `normal` or `high`."""
    request: Json
    fingerprint: str
    """Digest of what the client sent, to tell a repeat of an idempotency key from its reuse."""
    deadline_at: float | None = None
    batch_id: str | None = None
    retry_of: str | None = None
    client_ref: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class JobRecord:
    """A job as it stands: our row joined with the queue's state."""

    id: str
    owner: str
    task: str
    status: str
    """`queued`, `running`, `succeeded`, `failed`, `canceled` or `expired`; see `api_schemas.jobs`."""
    cancel_requested: bool
    priority: str
    request: Json
    fingerprint: str
    created_at: float
    started_at: float | None
    finished_at: float | None
    deadline_at: float | None
    attempt: int
    """1 in the first run; 0 before it."""
    progress: Json | None
    result: Json | None
    """`artifacts` (name, key, media_type, width, height, bytes, sha256), `metrics`, `warnings`, `timings`, `worker`."""
    error: Json | None
    """A problem object."""
    batch_id: str | None
    retry_of: str | None
    client_ref: str | None
    metadata: dict[str, str]

    @property
    def is_terminal(self) -> bool:
        return self.status not in ("queued", "running")


@dataclass(frozen=True)
class StoredEvent:
    """One line of a job's log. Terminal events are not stored: they follow from the state."""

    job_id: str
    seq: int
    """1, 2, 3, ... within the job."""
    type: str
    """`job.queued`, `job.started`, `job.progress`, `job.preview`, `job.warning`."""
    data: Json
    at: float


@dataclass(frozen=True)
class QueueDepth:
    queued: dict[str, int]
    """By priority."""
    running: int
    oldest_age_s: float | None
    workers: int


class DuplicateJob(Exception):
    """A job of this id is there already."""


class JobQueue(Protocol):
    """The side of the API process. Blocking; called from a thread pool. Imports no torch."""

    def submit(self, jobs: Sequence[NewJob]) -> None:
        """Store rows, queue entries and `job.queued` events in ONE transaction. Raises `DuplicateJob`."""
        ...

    def get(self, job_id: str) -> JobRecord | None: ...

    def get_many(self, job_ids: Sequence[str]) -> list[JobRecord]: ...

    def list(
        self,
        owner: str,
        *,
        status: str | None = None,
        task: str | None = None,
        batch_id: str | None = None,
        before: tuple[float, str] | None = None,
        limit: int = 20,
    ) -> list[JobRecord]:
        """Newest first; `before` is the (created_at, id) of the last job of the page before."""
        ...

    def cancel(self, job_id: str) -> None:
        """Ask for the end of a job. No effect on one that has ended; a running one stops at its next step."""
        ...

    def delete(self, job_ids: Sequence[str]) -> None:
        """Forget jobs that have ended."""
        ...

    def place(self, job_id: str) -> int | None:
        """1 for the job that is next; None for one that is not queued."""
        ...

    def depth(self) -> QueueDepth: ...

    def events_after(self, cursors: dict[str, int]) -> list[StoredEvent]:
        """Events of several jobs, each after its own sequence number, in order; one query for all of them."""
        ...

    def ended_before(self, moment: float, limit: int) -> list[str]:
        """Ids of jobs that ended before `moment`, for the retention."""
        ...


@dataclass(frozen=True)
class Claim:
    """A job that this worker is to run."""

    id: str
    owner: str
    task: str
    request: Json
    attempt: int
    """1 in the first run. Never given twice, so that it may name the place of what a run writes."""
    deadline_at: float | None
    losses: int = 0
    """Runs whose worker was lost; a run that was given back at a shutdown is none. See `starts.py`."""


class JobFailed(Exception):
    """Raised by a job's body: the job ends `failed` with this problem object."""

    def __init__(self, problem: Json):
        super().__init__(problem.get("detail", ""))
        self.problem = problem


class WorkerBroken(Exception):
    """Raised by a job's body: this worker can run no job any more. It ends at once, and its jobs go to others."""


JobBody = Callable[[Claim], Awaitable[Json]]
"""Runs a claimed job and returns its `result`. Cancelled by asyncio where the job is cancelled. Raises `JobFailed` and
`WorkerBroken`."""


class PriorHolder(Protocol):
    """What holds the priors of a worker: the engine. Safe to call from any thread."""

    prior_memory: float
    """Bytes that its priors may take together."""

    @property
    def priors(self) -> Mapping[tuple[str, str], str]:
        """By name and digest: `loading` or `ready`; cold ones are not there."""
        ...

    def load(self, prior: str, digest: str) -> Future[Any]:
        """Make a prior warm."""
        ...

    def unload(self, prior: str) -> None:
        """Let go of a prior as soon as no job uses it."""
        ...


@dataclass(frozen=True)
class Equipment:
    """What a worker works with."""

    body: JobBody
    priors: PriorHolder


class Reporter(Protocol):
    """The side of the worker: what a running job reports. Never blocks; newest progress wins; written every 250 ms."""

    def started(self, job_id: str, data: Json) -> None: ...

    def progress(self, job_id: str, data: Json) -> None: ...

    def preview(self, job_id: str, data: Json) -> None: ...

    def warning(self, job_id: str, data: Json) -> None: ...
