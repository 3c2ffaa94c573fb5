"""Batches: one request for many pictures. Each item becomes a job or gets a problem of its own."""

import json
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from api_schemas.jobs import Batch
from api_schemas.problems import FieldError, Problem
from api_schemas.requests import PICTURES, REQUESTS, BatchItem, BatchRequest
from api_schemas.solvers import PARAMS
from service import database
from service.bodies import canonical, from_json, parse_json
from service.idempotency import check_repeat, fingerprint, identifier
from service.presentation import iso
from service.problems import Refused, refused_fields
from service.queue.base import DuplicateJob, JobQueue, NewJob
from service.submission import Origin, Submissions

batches = database.batches
PARAMETERS = {name for model in PARAMS.values() for name in model.model_fields}
"""Of all solvers; none of them is an option of a task."""
STATUSES = ("queued", "running", "succeeded", "failed", "canceled", "expired")


@dataclass(frozen=True)
class BatchRecord:
    """A batch as it was accepted; the state of its jobs is the queue's."""

    id: str
    owner: str
    task: str
    created_at: float
    fingerprint: str
    items: list[dict[str, Any]]
    """`api_schemas.jobs.BatchItemOutcome` of each item, in the order of the request."""

    @property
    def job_ids(self) -> list[str]:
        return [item["job_id"] for item in self.items if item["job_id"]]


@dataclass(frozen=True)
class Batches:
    """Blocking; safe to share between threads."""

    engine: sa.Engine
    queue: JobQueue
    submissions: Submissions

    def create(self, origin: Origin, request: BatchRequest) -> BatchRecord:
        """Queue what can be queued. A repeat of an idempotency key gets the first batch."""
        limit = self.submissions.settings.max_batch_items
        if len(request.items) > limit:
            raise Refused("batch_too_large", f"{len(request.items)} items; the limit is {limit}")
        sent = fingerprint("batch", canonical(request))
        batch_id = identifier("batch", origin.owner, origin.key)
        with self.submissions.in_flight.held(batch_id):
            known = self.get(origin.owner, batch_id)
            if known is not None:
                check_repeat(known.fingerprint, sent)
                return known
            self.submissions.check_room(len(request.items))
            return self._create(origin, request, batch_id, sent)

    def get(self, owner: str, batch_id: str) -> BatchRecord | None:
        query = sa.select(batches).where(batches.c.id == batch_id, batches.c.owner == owner)
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return BatchRecord(**row) if row else None

    def present(self, record: BatchRecord) -> Batch:
        counts = dict.fromkeys(STATUSES, 0) | {"refused": len(record.items) - len(record.job_ids)}
        for job in self.queue.get_many(record.job_ids):
            counts[job.status] += 1
        return Batch.model_validate(
            {
                "id": record.id,
                "task": record.task,
                "created_at": iso(record.created_at),
                "counts": counts,
                "items": record.items,
            }
        )

    def cancel(self, record: BatchRecord) -> None:
        for job in self.queue.get_many(record.job_ids):
            if not job.is_terminal:
                self.queue.cancel(job.id)

    def _create(self, origin: Origin, request: BatchRequest, batch_id: str, sent: str) -> BatchRecord:
        """Jobs first, the batch after them: a crash between the two leaves jobs that the repeat finds by their ids."""
        jobs: list[NewJob] = []
        items: list[dict[str, Any]] = []
        for index, item in enumerate(request.items):
            outcome: dict[str, Any] = {"index": index, "client_ref": item.client_ref, "job_id": None, "problem": None}
            try:
                job = self._job(origin, request, item, batch_id, index)
            except Refused as error:
                outcome["problem"] = at_item(error.problem, request, index).model_dump(mode="json")
            else:
                jobs.append(job)
                outcome["job_id"] = job.id
            items.append(outcome)
        record = BatchRecord(batch_id, origin.owner, request.task, database.now(), sent, items)
        self._submit(jobs)
        return self._store(record)

    def _job(self, origin: Origin, request: BatchRequest, item: BatchItem, batch_id: str, index: int) -> NewJob:
        named = {"client_ref": item.client_ref} if item.client_ref is not None else {}
        pictures = item.model_dump(mode="json", include={"image", "mask"}, exclude_none=True)
        pictures[PICTURES[request.task][0]] = pictures.pop("image")
        options = {"priority": request.priority} | request.defaults | item.params | named
        body = parse_json(REQUESTS[request.task], json.dumps({"task": request.task} | options | pictures))
        return self.submissions.build(
            origin,
            from_json(body),
            job_id=identifier("job", origin.owner, f"{batch_id}/{index}"),
            sent=fingerprint("batch", batch_id, str(index)),
            batch_id=batch_id,
        )

    def _submit(self, jobs: list[NewJob]) -> None:
        try:
            self.queue.submit(jobs) if jobs else None
        except DuplicateJob:
            known = {job.id for job in self.queue.get_many([job.id for job in jobs])}
            if new := [job for job in jobs if job.id not in known]:
                self.queue.submit(new)

    def _store(self, record: BatchRecord) -> BatchRecord:
        try:
            with self.engine.begin() as connection:
                connection.execute(batches.insert().values(vars(record)))
        except IntegrityError:  # another API process stored the same batch first
            first = self.get(record.owner, record.id)
            if first is None:
                raise
            check_repeat(first.fingerprint, record.fingerprint)
            return first
        return record


def at_item(found: Problem, request: BatchRequest, index: int) -> Problem:
    """An item's problem, seen from the whole request: its pointers, and a parameter that is one level too high."""
    errors = [moved(each, place(request, index, each.pointer)) for each in found.errors]
    changed = {"errors": errors, "detail": refused_fields(errors).problem.detail} if errors else {}
    return found.model_copy(update=changed)


def moved(error: FieldError, above: str) -> FieldError:
    """An error of an item, at its place in the batch. Solver parameters beside the options are told where they belong:
    an item's `params` are options, and the solver's are in the `params` of these."""
    name, detail = error.pointer.removeprefix("/"), error.detail
    if error.code == "extra_forbidden" and name in PARAMETERS:
        detail = f"no option, but a parameter of a solver, which goes to {above}/params/{name}"
    return error.model_copy(update={"pointer": above + error.pointer, "detail": detail})


def place(request: BatchRequest, index: int, pointer: str) -> str:
    """Where the request has the option that a pointer begins with; the item itself for what is nowhere."""
    name = pointer.removeprefix("/").partition("/")[0].replace("~1", "/").replace("~0", "~")
    item = request.items[index]
    is_own = name in item.model_fields_set - {"params"}
    if name in item.params and not is_own:
        return f"/items/{index}/params"
    return "/defaults" if name in request.defaults and not is_own else f"/items/{index}"
