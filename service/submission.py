"""From a request to a queued job: pictures checked and stored, prior and seed decided, nothing left to guess."""

import base64
import binascii
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from api_schemas.images import ImageRef
from api_schemas.requests import SCALES, CommonOptions, InpaintOptions, RetryRequest, SuperResolutionOptions
from service import database, imaging
from service.bodies import Picture, TaskBody, canonical, spelling
from service.catalogue import SOLVERS, Catalogue
from service.files import FileRepository, StoredFile
from service.idempotency import InFlight, check_repeat, fingerprint, identifier
from service.problems import Refused, wrong_field
from service.queue.base import DuplicateJob, JobQueue, JobRecord, Json, NewJob
from service.settings import Settings
from service.storage import BlobMissing, input_key

RETRY_AFTER_FULL_S = 10
LATENT_TASKS = ("inpaint", "super_resolution")
"""What a prior on latents is for: where so much is missing that the error of its decoder does not matter."""


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
        image = self._take(origin.owner, body.image, "image")
        check_output(options, image)
        mask = self._check_task(origin.owner, options, image, body.mask)
        request = decided | {"image": describe(image), "mask": None if mask is None else describe(mask)}
        return NewJob(
            id=job_id,
            owner=origin.owner,
            task=options.task,
            priority=options.priority,
            request=request,
            fingerprint=sent,
            deadline_at=deadline(options.deadline_s, origin.cancel_after_s),
            batch_id=batch_id,
            client_ref=options.client_ref,
            metadata=options.metadata,
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

    def _resolve(self, options: CommonOptions) -> Json:
        solver = SOLVERS.get(options.solver)
        if solver is None or options.task not in solver.tasks:
            detail = f"{options.solver!r} is not a solver of this task; there are: {', '.join(SOLVERS)}"
            raise wrong_field("/solver", "unknown", detail, problem_code="unknown_solver")
        seed = options.seed if options.seed is not None else secrets.randbits(63)
        chosen = self._choose_prior(options.prior, options.task, options.params.mode)
        return options.model_dump(mode="json") | chosen | {"seed": seed}

    def _choose_prior(self, name: str | None, task: str, mode: str) -> Json:
        prior = self.catalogue.prior(self.settings.default_prior if name is None else name)
        if prior is None and name is None:
            raise Refused("not_ready", f"the default prior {self.settings.default_prior!r} cannot be read")
        if prior is None:
            known = ", ".join(each.id for each in self.catalogue.priors())
            detail = f"{name!r} is not a prior here; there are: {known}"
            raise wrong_field("/prior", "unknown", detail, problem_code="unknown_prior")
        if prior.kind == "latent" and (task not in LATENT_TASKS or mode != "fast"):
            detail = f"{prior.id!r} is a prior on latents, for {' and '.join(LATENT_TASKS)} in mode `fast` only"
            raise wrong_field("/prior", "incompatible", detail, problem_code="incompatible_prior")
        return {"prior": prior.id, "prior_digest": prior.digest}

    def _take(self, owner: str, picture: Picture, name: str) -> StoredFile:
        if isinstance(picture, ImageRef):
            if picture.file_id is not None:
                return self._find(owner, picture.file_id, name)
            picture = decode_data_url(picture.data_url or "", name)
        with naming(name):
            return self.files.ingest(owner, picture)[0]

    def _find(self, owner: str, file_id: str, name: str) -> StoredFile:
        stored = self.files.get(owner, file_id)
        if stored is None or not self.files.storage.exists(input_key(stored.sha256)):
            detail = f"there is no file {file_id!r}; files expire after their last use"
            raise wrong_field(f"/{name}/file_id", "unknown", detail, problem_code="file_not_found")
        self.files.touch(stored.id, database.now() + self.settings.retention_s)
        return stored

    def _check_task(
        self, owner: str, options: CommonOptions, image: StoredFile, mask: Picture | None
    ) -> StoredFile | None:
        if isinstance(options, SuperResolutionOptions):
            check_scale(options.scale, image, self.settings.max_pixels)
        if not isinstance(options, InpaintOptions):
            return None
        if mask is None and options.mask_mode != "alpha_unknown":
            raise wrong_field("/mask", "missing", "a mask is needed, except with mask_mode `alpha_unknown`")
        stored = None if mask is None else self._take(owner, mask, "mask")
        self._check_mask(options, image, stored)
        return stored

    def _check_mask(self, options: InpaintOptions, image: StoredFile, mask: StoredFile | None) -> None:
        try:
            picture = imaging.decode(self.files.content(image), self.files.limits)
            data = None if mask is None else self.files.content(mask)
        except BlobMissing:
            raise Refused("file_not_found", "the bytes of a file are gone; send it again") from None
        with naming("mask"):
            imaging.observed_mask(
                data,
                picture,
                mode=options.mask_mode,
                threshold=options.mask_threshold,
                grow=options.grow_mask,
                limits=self.files.limits,
            )

    def _rebuild(self, origin: Origin, record: JobRecord, changes: RetryRequest, *, job_id: str, sent: str) -> NewJob:
        if not record.is_terminal:
            raise Refused("job_not_terminal", f"the job is {record.status}; cancel it or wait")
        mode = changes.params.mode if changes.params is not None else record.request["params"]["mode"]
        request: Json = record.request | self._choose_prior(record.request["prior"], record.task, mode)
        for name in ("image", "mask"):
            picture = request[name]
            if picture and not self.files.storage.exists(input_key(picture["sha256"])):
                raise Refused("inputs_expired", f"the {name} of this job was removed")
        request |= changes.model_dump(mode="json", exclude_none=True, exclude={"params"})
        if changes.params is not None:
            request["params"] = changes.params.model_dump(mode="json")
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


@contextmanager
def naming(field: str) -> Iterator[None]:
    """A picture that is refused is refused with the name of its field."""
    try:
        yield
    except imaging.ImageRefused as error:
        raise wrong_field(f"/{field}", error.code, error.detail, problem_code=error.code) from error


def decode_data_url(url: str, name: str) -> bytes:
    head, comma, text = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise wrong_field(f"/{name}/data_url", "data_url", "must look like data:image/png;base64,...")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wrong_field(f"/{name}/data_url", "base64", "the part after the comma is not base64") from None


def check_output(options: CommonOptions, image: StoredFile) -> None:
    """16 bits that the format of the input cannot hold; other formats are checked by the model of the wire."""
    output = options.output
    if output.format == "same" and output.bit_depth == "16" and image.info["format"] not in ("PNG", "TIFF"):
        raise wrong_field("/output/bit_depth", "value_error", f"{image.info['format']} has 8 bits a channel")


def check_scale(scale: int, image: StoredFile, max_pixels: int) -> None:
    if scale not in SCALES:
        detail = f"{scale} is not offered; there are {', '.join(map(str, SCALES))}"
        raise wrong_field("/scale", "unknown", detail, problem_code="scale_unsupported")
    pixels = image.info["width"] * image.info["height"] * scale**2
    if pixels > max_pixels:
        detail = f"the result would have {pixels:,} pixels; the limit is {max_pixels:,}"
        raise wrong_field("/scale", "too_large", detail, problem_code="image_too_many_pixels")


def describe(stored: StoredFile) -> dict[str, Any]:
    """An input inside a resolved request."""
    return {
        "file_id": stored.id,
        "sha256": stored.sha256,
        "width": stored.info["width"],
        "height": stored.info["height"],
        "media_type": stored.media_type,
        "bytes": stored.info["bytes"],
    }


def deadline(deadline_s: float | None, cancel_after_s: float | None) -> float | None:
    """The earlier of the two, as seconds since the epoch."""
    given = [seconds for seconds in (deadline_s, cancel_after_s) if seconds is not None]
    return database.now() + min(given) if given else None
