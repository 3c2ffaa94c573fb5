"""Runs a folder order: some jobs at a time, each recorded before it is waited for."""

import asyncio
import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from api_schemas.jobs import Job
from api_schemas.requests import OPTIONS
from client._requests import wire
from client.async_client import AsyncRediffuse
from client.errors import (
    AuthenticationError,
    ConnectionFailed,
    GoneError,
    JobFailedError,
    NotFoundError,
    ProblemError,
    RateLimitedError,
    RediffuseError,
    UnavailableError,
    UnexpectedAnswer,
)
from client.folders.manifest import Entry, Failure, Manifest, ManifestFile, open_manifest
from client.folders.order import FolderOrder, OrderRefused
from client.saving import remove_leftovers, write_atomically

STOPPING = (ConnectionFailed, AuthenticationError, UnavailableError, RateLimitedError, UnexpectedAnswer)
"""No fault of one picture: every other would meet it, too. The run ends, and can be taken up again."""

SPENT_KEYS = frozenset({"job_expired", "inputs_expired", "idempotency_key_reused"})
"""The job that had this key was removed, or an earlier version of the service read the same request otherwise."""
MOST_KEYS = 20


class Watcher(Protocol):
    """Sees how a run goes."""

    def progressed(self, entry: Entry, fraction: float) -> None: ...

    def ended(self, entry: Entry) -> None: ...


class FolderRun:
    """One run of one order."""

    def __init__(self, client: AsyncRediffuse, order: FolderOrder, watcher: Watcher):
        self.client = client
        self.order = order
        self.watcher = watcher
        self.file: ManifestFile = open_manifest(order)
        self.prior_digest = ""

    async def run(self) -> Manifest:
        """Restore every picture; what fails is in the manifest. Raises what would fail for every picture."""
        entries = iter(list(self.file.entries.values()))
        try:
            await asyncio.to_thread(remove_leftovers, self.order.target)
            self.prior_digest = await self._prior_digest()
            async with asyncio.TaskGroup() as group:
                for _ in range(self.order.in_flight):
                    group.create_task(self._work(entries))
        except* (RediffuseError, OSError) as errors:
            raise errors.exceptions[0] from None
        finally:
            self.file.write()
        return self.file.manifest()

    async def _prior_digest(self) -> str:
        """Part of the keys: when a prior is replaced, a new run gives new jobs."""
        options = wire(self.order.options)
        solver = options.get("solver", OPTIONS[self.order.task].model_fields["solver"].default)
        names = [options.get("prior"), *options.get("params", {}).get("components", [])]
        priors = (await self.client.priors()).data
        digests = [
            prior.digest
            for name in names
            for prior in priors
            if prior.id == name or (name is None and solver in prior.default_of)
        ]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    async def _work(self, entries: Iterator[Entry]) -> None:
        for entry in entries:
            try:
                await self._restore(entry)
            except STOPPING:
                raise
            except (RediffuseError, OrderRefused, OSError) as error:
                failed = self.file.entries[entry.source].model_copy(update={"status": "failed", "error": reason(error)})
                await self.file.update(failed)
            self.watcher.ended(self.file.entries[entry.source])

    async def _restore(self, entry: Entry) -> None:
        image, mask, entry = await asyncio.to_thread(self._read, entry)
        target = self.order.target / entry.output
        there = await asyncio.to_thread(digest_of_file, target)
        if entry.status == "done" and there == entry.output_sha256:
            return
        if entry.status != "submitted":
            self._check_may_write(entry, there)
        job = await self._job(entry, image, mask)
        entry = self.file.entries[entry.source]
        ended = await self.client.wait(job, on_progress=lambda p: self.watcher.progressed(entry, p.fraction))
        content = await self.client.result_bytes(ended)
        result_sha256 = hashlib.sha256(content).hexdigest()
        there = await asyncio.to_thread(digest_of_file, target)
        if there != result_sha256:  # else a run that was interrupted after its last write
            self._check_may_write(entry, there)
            await asyncio.to_thread(write_atomically, target, content)
        await self.file.update(
            entry.model_copy(
                update={"status": "done", "output_sha256": result_sha256, "clean": is_clean(ended)} | resolved(ended)
            )
        )

    def _read(self, entry: Entry) -> tuple[bytes, bytes | None, Entry]:
        """The bytes to send, and the entry with their digests: as it was where the work is the same, else pending."""
        image = (self.order.source / entry.source).read_bytes()
        mask_path = self.order.mask(entry.source)
        mask = None if mask_path is None else mask_path.read_bytes()
        source_sha256, mask_sha256 = hashlib.sha256(image).hexdigest(), mask and hashlib.sha256(mask).hexdigest()
        work = [self.order.task, wire(self.order.options), source_sha256, mask_sha256]
        fingerprint = hashlib.sha256(json.dumps(work, sort_keys=True).encode()).hexdigest()
        if entry.fingerprint == fingerprint:
            return image, mask, entry
        fresh = {"status": "pending", "fingerprint": fingerprint, "job_id": None, "attempt": 1}
        files = {"source_sha256": source_sha256, "mask": mask_path and str(mask_path), "mask_sha256": mask_sha256}
        return image, mask, entry.model_copy(update=fresh | files)

    def _check_may_write(self, entry: Entry, there: str | None) -> None:
        if there not in (None, entry.output_sha256) and not self.order.force:
            raise OrderRefused(
                f"{self.order.target / entry.output} was not made by this command; --force writes over it"
            )

    async def _job(self, entry: Entry, image: bytes, mask: bytes | None) -> Job:
        """The job of an entry: the one that runs already, or a new one; recorded before this returns."""
        if entry.status in ("submitted", "done") and entry.job_id is not None:
            # Where the service was set up anew, or its retention is over, the picture is sent again.
            with suppress(NotFoundError, GoneError):
                return await self.client.job(entry.job_id)
        first = entry.attempt + (entry.job_id is not None)
        for attempt in range(first, first + MOST_KEYS):
            try:
                job = await self._create(f"{entry.fingerprint}-{attempt}", image, mask)
            except ProblemError as error:
                if error.code in SPENT_KEYS:
                    continue
                raise
            submitted = {"status": "submitted", "job_id": job.id, "attempt": attempt, "error": None}
            await self.file.update(entry.model_copy(update=submitted | resolved(job)))
            return job
        raise OrderRefused("the jobs of this picture were removed from the service again and again")

    async def _create(self, key: str, image: bytes, mask: bytes | None) -> Job:
        fields: dict[str, Any] = {**self.order.options, "idempotency_key": f"{key}-{self.prior_digest[:16]}"}
        if self.order.task == "inpaint":
            return await self.client.inpaint(image, mask, **fields)
        if self.order.task == "super_resolution":
            return await self.client.super_resolution(image, **fields)
        return await self.client.denoise(image, **fields)


def resolved(job: Job) -> dict[str, Any]:
    """What reproduces the result of a job."""
    return {
        "parameters": job.request,
        "seed": job.request.get("seed"),
        "prior": job.request.get("prior"),
        "prior_digest": job.request.get("prior_digest"),
        "job_id": job.id,
    }


def is_clean(job: Job) -> bool | None:
    """Whether no noise was found; None where none was looked for."""
    return job.result.metrics.get("clean") if job.result else None


def reason(error: Exception) -> Failure:
    """Why a picture failed."""
    if isinstance(error, ProblemError):
        return Failure(code=error.code, detail=str(error))
    if isinstance(error, JobFailedError):
        code = error.job.error.code if error.job.error else error.job.status
        return Failure(code=code, detail=str(error))
    return Failure(code="refused_here" if isinstance(error, OrderRefused) else type(error).__name__, detail=str(error))


def digest_of_file(path: Path) -> str | None:
    """SHA-256 of a file; None where there is none."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None
