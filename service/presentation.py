"""From a job as the queue has it to a job as a client sees it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from api_schemas.images import FileInfo
from api_schemas.jobs import Artifact, Job, JobWarning, Links, Progress, QueuePlace, Result, Timings
from api_schemas.problems import PROBLEMS, Problem, problem
from service.files import StoredFile
from service.queue.base import JobRecord, Json, StoredEvent
from service.storage import input_key

INPUTS = {"input": "image", "mask": "mask"}
"""Artifacts that are inputs, and where the request names them."""


@dataclass(frozen=True)
class ArtifactRecord:
    """A blob of a job, as the job's record names it."""

    name: str
    key: str
    media_type: str
    bytes: int
    sha256: str
    width: int | None = None
    height: int | None = None


def iso(moment: float | None) -> str | None:
    """RFC 3339 in UTC."""
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")


def path(job_id: str, *more: str) -> str:
    return "/".join(("/v1/jobs", job_id, *more))


def present(record: JobRecord, *, retention_s: float, place: int | None = None) -> Job:
    """The job object. `place`: 1 for the job that is next."""
    result = record.result if record.status == "succeeded" else None
    expires_at = iso(record.finished_at + retention_s) if record.finished_at is not None else None
    return Job(
        id=record.id,
        task=record.task,  # type: ignore[arg-type]
        status=record.status,  # type: ignore[arg-type]
        cancel_requested=record.cancel_requested,
        priority=record.priority,
        created_at=iso(record.created_at) or "",
        started_at=iso(record.started_at),
        finished_at=iso(record.finished_at),
        expires_at=expires_at,
        queue=None if place is None else QueuePlace(position=place, ahead=place - 1),
        progress=progress(record.progress),
        attempt=record.attempt,
        retry_of=record.retry_of,
        batch_id=record.batch_id,
        request=record.request | ({"parameters": result["parameters"]} if result and "parameters" in result else {}),
        result=None if result is None else present_result(record, result, expires_at),
        error=error_of(record),
        timings=timings(record),
        worker=(record.result or {}).get("worker"),
        metadata=record.metadata,
        client_ref=record.client_ref,
        links=Links(
            self=path(record.id),
            events=path(record.id, "events"),
            result=path(record.id, "result"),
            cancel=path(record.id, "cancel"),
        ),
    )


def progress(stored: Json | None) -> Progress | None:
    return None if not stored else Progress.model_validate(stored)


def artifacts(record: JobRecord) -> list[ArtifactRecord]:
    """What can be fetched of a job: what it made, then what it was given."""
    made = [ArtifactRecord(**each) for each in (record.result or {}).get("artifacts", [])]
    return made + [each for name in INPUTS if (each := input_artifact(record, name))]


def input_artifact(record: JobRecord, name: str) -> ArtifactRecord | None:
    picture = record.request.get(INPUTS[name])
    if not picture:
        return None
    return ArtifactRecord(
        name=name,
        key=input_key(picture["sha256"]),
        media_type=picture["media_type"],
        bytes=picture["bytes"],
        sha256=picture["sha256"],
        width=picture["width"],
        height=picture["height"],
    )


def present_result(record: JobRecord, result: Json, expires_at: str | None) -> Result:
    listed = [
        Artifact(
            name=each.name,
            url=path(record.id, "artifacts", each.name),
            media_type=each.media_type,
            width=each.width,
            height=each.height,
            bytes=each.bytes,
            sha256=each.sha256,
            expires_at=expires_at,
        )
        for each in artifacts(record)
    ]
    warnings = [JobWarning.model_validate(each) for each in result.get("warnings", [])]
    return Result(artifacts=listed, metrics=result.get("metrics", {}), warnings=warnings)


def error_of(record: JobRecord) -> Problem | None:
    """Why a job has no result; None for one that was canceled on request or has not ended badly."""
    if record.status == "expired":
        return problem("deadline_exceeded", "the job did not end before its deadline", instance=path(record.id))
    if record.status != "failed":
        return None
    stored = record.error or {"code": "internal", "detail": "the job failed without a reason"}
    code = stored["code"] if stored["code"] in PROBLEMS else "internal"
    return problem(code, stored["detail"], instance=path(record.id))


def timings(record: JobRecord) -> Timings | None:
    if record.started_at is None:
        return None
    stored = (record.result or {}).get("timings", {})
    return Timings.model_validate(stored | {"queue_s": max(0.0, record.started_at - record.created_at)})


def present_event(event: StoredEvent) -> dict[str, Any]:
    """The data of a stored event; a preview's key becomes an address."""
    if event.type == "job.preview":
        return {"url": path(event.job_id, "artifacts", "preview"), "step": event.data["step"]}
    return event.data


def present_file(stored: StoredFile) -> FileInfo:
    times = {"created_at": iso(stored.created_at), "expires_at": iso(stored.expires_at)}
    return FileInfo.model_validate(stored.info | times | {"id": stored.id})
