"""From a request to a queued job: pictures checked and stored, prior and seed decided, nothing left to guess."""

import secrets
from dataclasses import dataclass

from api_schemas.operators import is_linear
from api_schemas.requests import PICTURES, ApplyOptions, CommonOptions, RetryRequest
from service import database
from service.bodies import TaskBody, canonical, spelling
from service.catalogue import Catalogue
from service.choices import check_solver, choose_priors, params_of
from service.files import FileRepository, StoredFile
from service.idempotency import InFlight, check_repeat, fingerprint, identifier
from service.inputs import Inputs, check_work
from service.intake import Intake, describe
from service.negotiation import MAX_WAIT_S
from service.operands import Operands
from service.problems import Refused, wrong_field
from service.queue.base import DuplicateJob, JobQueue, JobRecord, Json, NewJob
from service.queue.rows import digests
from service.settings import Settings
from service.storage import input_key

RETRY_AFTER_FULL_S = 10
WAITED_FOR: Json = {"priority": "high", "deadline_s": MAX_WAIT_S, "client_ref": None, "metadata": {}}
"""Of an `apply`, which is of no use once its request has been answered."""


@dataclass(frozen=True)
class Origin:
    """Who asks, and what the headers said."""

    owner: str
    key: str | None = None
    """`Idempotency-Key`."""
    cancel_after_s: float | None = None
    """`Cancel-After`."""


class Submissions:
    """Blocking; safe to share between threads."""

    def __init__(self, settings: Settings, queue: JobQueue, files: FileRepository, catalogue: Catalogue):
        self.settings = settings
        self.queue = queue
        self.files = files
        self.catalogue = catalogue
        self.intake = Intake(files, settings.retention_s)
        self.inputs = Inputs(self.intake, Operands(self.intake), settings.max_pixels, settings.max_apply_pixels)
        self.in_flight = InFlight()

    def create(self, origin: Origin, body: TaskBody) -> str:
        """Queue a job; returns its id, that of the first job for a repeat. Raises Refused and imaging.ImageRefused."""
        sent = fingerprint(body.options.task, canonical(body.options), *map(spelling, (body.image, body.mask)))
        job_id = identifier("job", origin.owner, origin.key)
        with self.in_flight.held(job_id):
            if origin.key is None or not self._is_repeat(job_id, sent):
                self.check_room(1)
                self._submit(self.build(origin, body, job_id=job_id, sent=sent))
        return job_id

    def retry(self, origin: Origin, record: JobRecord, changes: RetryRequest) -> str:
        """Queue an ended job again; returns the id of the new job."""
        sent = fingerprint("retry", record.id, canonical(changes))
        job_id = identifier("job", origin.owner, origin.key)
        with self.in_flight.held(job_id):
            if origin.key is None or not self._is_repeat(job_id, sent):
                self.check_room(1)
                self._submit(self._rebuild(origin, record, changes, job_id=job_id, sent=sent))
        return job_id

    def check_room(self, count: int) -> None:
        """Raises `queue_full`."""
        queued = sum(self.queue.depth().queued.values())
        if queued + count > self.settings.max_queued:
            detail = f"{queued} jobs are waiting; the limit is {self.settings.max_queued}"
            raise Refused("queue_full", detail, headers={"Retry-After": str(RETRY_AFTER_FULL_S)})

    def build(self, origin: Origin, body: TaskBody, *, job_id: str, sent: str, batch_id: str | None = None) -> NewJob:
        """The resolved job of a request. Stores its pictures, does not queue it."""
        options = body.options
        decided = self._resolve(options)
        image = self.intake.take(origin.owner, body.image, PICTURES[options.task][0])
        check_output(options, image)
        request = decided | {"image": describe(image), "mask": None}
        request |= self.inputs.of_task(origin.owner, options, image, body.mask)
        if options.task != "apply":
            check_work(request, self.settings)
        return NewJob(
            id=job_id,
            owner=origin.owner,
            task=options.task,
            priority=request["priority"],
            request=request,
            fingerprint=sent,
            deadline_at=deadline(request["deadline_s"], origin.cancel_after_s),
            batch_id=batch_id,
            client_ref=request["client_ref"],
            metadata=request["metadata"],
        )

    def _is_repeat(self, job_id: str, sent: str) -> bool:
        known = self.queue.get(job_id)
        if known is None:
            return False
        check_repeat(known.fingerprint, sent)
        return True

    def _submit(self, job: NewJob) -> None:
        try:
            self.queue.submit([job])
        except DuplicateJob:  # another API process was faster
            self._is_repeat(job.id, job.fingerprint)

    def _resolve(self, options: CommonOptions | ApplyOptions) -> Json:
        """Nothing is left to guess: seed, priors and their digests, every parameter."""
        decided = options.model_dump(mode="json")
        if options.task == "apply":
            if options.direction != "forward" and not is_linear(decided["operator"]):
                detail = f"only linear operators have the direction {options.direction}"
                raise wrong_field("/direction", "nonlinear", detail, problem_code="operator_invalid")
            return decided | WAITED_FOR
        check_solver(decided)
        seed = options.seed if options.seed is not None else secrets.randbits(63)
        return decided | choose_priors(self.catalogue, decided) | {"seed": seed}

    def _rebuild(self, origin: Origin, record: JobRecord, changes: RetryRequest, *, job_id: str, sent: str) -> NewJob:
        if not record.is_terminal:
            raise Refused("job_not_terminal", f"the job is {record.status}; cancel it or wait")
        if record.task == "apply":
            raise wrong_field("", "apply", "an application of an operator is not retried; send it again")
        request: Json = record.request | changes.model_dump(mode="json", exclude_none=True, exclude={"params"})
        if changes.params is not None:
            request["params"] = params_of(request["solver"], changes.params)
        request |= choose_priors(self.catalogue, request)
        check_work(request, self.settings)
        if not all(self.files.storage.exists(input_key(sha256)) for sha256 in digests(request)):
            raise Refused("inputs_expired", "a picture of this job was removed")
        return NewJob(
            id=job_id,
            owner=origin.owner,
            task=record.task,
            priority=request["priority"],
            request=request,
            fingerprint=sent,
            deadline_at=deadline(request["deadline_s"], origin.cancel_after_s),
            retry_of=record.id,
            client_ref=record.client_ref,
            metadata=record.metadata,
        )


def check_output(options: CommonOptions | ApplyOptions, image: StoredFile) -> None:
    """A depth that the format of the input cannot hold; other formats are checked by the model of the wire."""
    output = options.output
    if output.format == "same" and output.bit_depth != "same" and image.info["format"] == "NPY":
        raise wrong_field("/output/bit_depth", "value_error", "NPY has 32 bits a channel, of floating point")
    if output.format == "same" and output.bit_depth == "16" and image.info["format"] not in ("PNG", "TIFF"):
        raise wrong_field("/output/bit_depth", "value_error", f"{image.info['format']} has 8 bits a channel")


def deadline(deadline_s: float | None, cancel_after_s: float | None) -> float | None:
    """The earlier of the two, as seconds since the epoch."""
    given = [seconds for seconds in (deadline_s, cancel_after_s) if seconds is not None]
    return database.now() + min(given) if given else None
