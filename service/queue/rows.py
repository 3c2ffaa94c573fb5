"""The rows that a new job puts into our tables."""

from collections.abc import Iterator
from typing import Any

from service.queue.base import NewJob
from service.queue.tables import PRIORITIES


def job_row(job: NewJob, moment: float) -> dict[str, Any]:
    return {**vars(job), "created_at": moment, "seq": 1}


def queued_event(job: NewJob, ahead: dict[str, int], moment: float) -> dict[str, Any]:
    """The first event of a job. Counts the job in `ahead`."""
    ahead[job.priority] += 1
    position = sum(count for name, count in ahead.items() if PRIORITIES[name] <= PRIORITIES[job.priority])
    return {"job_id": job.id, "seq": 1, "type": "job.queued", "data": {"position": position}, "at": moment}


def digests(request: Any) -> Iterator[str]:
    """Every `sha256` in a request: the input blobs that the job needs."""
    if isinstance(request, dict):
        if isinstance(request.get("sha256"), str):
            yield request["sha256"]
        for value in request.values():
            yield from digests(value)
    elif isinstance(request, list):
        for value in request:
            yield from digests(value)
