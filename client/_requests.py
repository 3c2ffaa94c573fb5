"""Every request that the clients send, as plain values: no connection is made here."""

import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypedDict, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from api_schemas.catalogue import InfoOut, OperatorList, PriorList, QueueOut, SolverList
from api_schemas.images import FileInfo, ImageRef
from api_schemas.jobs import Batch, Job, JobList, JobStatus
from api_schemas.requests import PICTURES, Task
from client import operands
from client.operands import Operator, reference
from client.pictures import Picture, Upload, load

T = TypeVar("T", bound=BaseModel)
Options = Mapping[str, Any]


class JobFilters(TypedDict, total=False):
    """Which jobs to list; `limit` is the length of a page."""

    status: JobStatus
    task: Task
    batch_id: str
    limit: int


PATHS = {
    "inpaint": "/v1/inpaint",
    "super_resolution": "/v1/super-resolution",
    "denoise": "/v1/denoise",
    "deblur": "/v1/deblur",
    "restore": "/v1/restore",
}
WAIT_S = 60
"""How long the service waits for a worker that applies an operator, at most."""


class Empty(BaseModel):
    """The answer of requests whose answer says nothing."""


@dataclass(frozen=True)
class Request(Generic[T]):
    """One request, and the model of its answer."""

    method: str
    path: str
    answer: type[T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    form: Mapping[str, str] | None = None
    files: Sequence[tuple[str, Upload]] = ()
    answer_delay_s: float = 0
    """How much longer than usual the service may keep silent, because it was asked to wait."""


def create(
    task: str,
    image: Picture,
    mask: Picture | None,
    options: Options,
    wait_s: float | None = None,
    idempotency_key: str | None = None,
) -> Request[Job]:
    """A new job. One key for all attempts at this request, so that the job runs once."""
    name = PICTURES[task][0]
    pictures = {name: load(image)} | ({} if mask is None else {"mask": load(mask)})
    headers = idempotency(idempotency_key)
    if wait_s is not None:
        headers["Prefer"] = f"wait={math.ceil(wait_s)}"  # RFC 7240 has whole seconds only
    uploads = [(name, picture) for name, picture in pictures.items() if isinstance(picture, Upload)]
    common = {"method": "POST", "path": PATHS[task], "answer": Job, "headers": headers, "answer_delay_s": wait_s or 0}
    has_room = task not in ("deblur", "restore")  # a field of a form is too short for the pictures of an operator
    if len(uploads) == len(pictures) and has_room:
        return Request(**common, form=form_fields(options), files=uploads)
    return Request(**common, json=wire(options) | {name: reference(p) for name, p in pictures.items()})


def apply(image: Picture, operator: Operator, direction: str, options: Options) -> Request[Empty]:
    """An operator on a picture; the answer is a picture, or an array. A repeat makes it anew."""
    body = wire({"operator": operands.operator(operator), "direction": direction, **options})
    headers = {"Accept": "image/*, application/x-npy"}  # as `output` says
    json = body | {"image": reference(load(image))}
    return Request("POST", "/v1/operators/apply", Empty, headers=headers, json=json, answer_delay_s=WAIT_S)


def job(job_id: str, wait_s: float | None = None) -> Request[Job]:
    """A job as it stands; with `wait_s`, the service answers when the job has ended, or after that time."""
    params = {} if wait_s is None else {"wait": f"{wait_s:.3f}"}
    return Request("GET", job_path(job_id), Job, params=params, answer_delay_s=wait_s or 0)


def jobs(filters: Options, cursor: str | None = None) -> Request[JobList]:
    """One page of jobs, newest first."""
    params = {name: str(value) for name, value in filters.items() if value is not None}
    return Request("GET", "/v1/jobs", JobList, params=params if cursor is None else params | {"cursor": cursor})


def cancel(job_id: str) -> Request[Job]:
    return Request("POST", f"{job_path(job_id)}/cancel", Job)


def retry(job_id: str, overrides: Options, idempotency_key: str | None = None) -> Request[Job]:
    headers = idempotency(idempotency_key)
    return Request("POST", f"{job_path(job_id)}/retry", Job, headers=headers, json=wire(overrides))


def delete(job_id: str) -> Request[Empty]:
    return Request("DELETE", job_path(job_id), Empty)


def events(job_id: str, last_event_id: str | None) -> Request[Empty]:
    """The stream of a job's events, from the one after `last_event_id`."""
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    return Request("GET", f"{job_path(job_id)}/events", Empty, headers=headers)


def artifact(job_id: str, name: str) -> Request[Empty]:
    """The bytes of an artifact. Its path is built here: a key is never sent to an address that an answer names."""
    return Request("GET", f"{job_path(job_id)}/artifacts/{quote(name, safe='')}", Empty, headers={"Accept": "*/*"})


def upload(file: Picture) -> Request[FileInfo]:
    """Equal bytes give the same file, so that this needs no key."""
    picture = load(file)
    if isinstance(picture, ImageRef):
        raise TypeError("this file is on the service already")
    return Request("POST", "/v1/files", FileInfo, form={}, files=[("file", picture)])


def batch(
    task: str,
    images: Sequence[FileInfo],
    masks: Sequence[FileInfo] | None,
    names: Sequence[str | None],
    options: Options,
    idempotency_key: str | None = None,
) -> Request[Batch]:
    """Many jobs at once. `names` come back as the `client_ref` of the items. Raises ValueError for unequal numbers."""
    pairs = [(image, None) for image in images] if masks is None else zip(images, masks, strict=True)
    items = [
        wire({"image": load(image), "mask": mask and load(mask), "client_ref": name})
        for (image, mask), name in zip(pairs, names, strict=True)
    ]
    defaults = dict(wire(options))
    body = {"task": task, "priority": defaults.pop("priority", "normal"), "defaults": defaults, "items": items}
    return Request("POST", "/v1/batches", Batch, headers=idempotency(idempotency_key), json=body)


def batch_status(batch_id: str) -> Request[Batch]:
    return Request("GET", f"/v1/batches/{quote(batch_id, safe='')}", Batch)


def cancel_batch(batch_id: str) -> Request[Batch]:
    return Request("POST", f"/v1/batches/{quote(batch_id, safe='')}/cancel", Batch)


def priors() -> Request[PriorList]:
    return Request("GET", "/v1/priors", PriorList)


def solvers() -> Request[SolverList]:
    return Request("GET", "/v1/solvers", SolverList)


def operators() -> Request[OperatorList]:
    return Request("GET", "/v1/operators", OperatorList)


def queue() -> Request[QueueOut]:
    return Request("GET", "/v1/queue", QueueOut)


def info() -> Request[InfoOut]:
    return Request("GET", "/v1/info", InfoOut)


def alive() -> Request[Empty]:
    return Request("GET", "/healthz", Empty)


def identifier(thing: Job | Batch | str) -> str:
    """The id of a job or a batch, or the id itself."""
    return thing if isinstance(thing, str) else thing.id


def digest_of(job: Job, artifact: str) -> str | None:
    """The SHA-256 (hexadecimal) that a job names for one of its artifacts."""
    artifacts = job.result.artifacts if job.result else []
    return next((entry.sha256 for entry in artifacts if entry.name == artifact), None)


def job_path(job_id: str) -> str:
    return f"/v1/jobs/{quote(job_id, safe='')}"


def idempotency(key: str | None) -> dict[str, str]:
    return {"Idempotency-Key": key or uuid.uuid4().hex}


def wire(value: Any) -> Any:
    """JSON values of options: models as what was set in them, no field that is None."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    if isinstance(value, Mapping):
        return {name: wire(item) for name, item in value.items() if item is not None}
    return value


def form_fields(options: Options) -> dict[str, str]:
    """Options as the text fields of a form: what is no text as JSON. Raises ValueError for NaN and infinity."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for name, value in wire(options).items()
    }
