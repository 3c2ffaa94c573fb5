"""What a job made, as bytes: the result in the form that the client accepts, and each artifact by name."""

import mimetypes
from dataclasses import dataclass

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from service import imaging
from service.downloads import send_bytes
from service.metrics import ApiMetrics
from service.negotiation import negotiate
from service.presentation import ArtifactRecord, artifacts, error_of, present
from service.problems import Refused
from service.queue.base import JobQueue, JobRecord
from service.settings import Settings
from service.storage import BlobMissing, Storage

FORMATS = {"image/png": "png", "image/tiff": "tiff", "image/webp": "webp", "image/jpeg": "jpeg"}
NPY = "application/x-npy"
"""Given where the result was written so: the numbers of a picture were rounded and clipped already."""
POLL_AGAIN_S = 1


@dataclass(frozen=True)
class Results:
    """Blocking; safe to share between threads."""

    settings: Settings
    queue: JobQueue
    storage: Storage
    limits: imaging.ImageLimits
    metrics: ApiMetrics

    def answer(self, request: Request, record: JobRecord) -> Response:
        """The result by `Accept`: as it is stored, in another image format, or the job as JSON; 202 before it is."""
        if not record.is_terminal:
            job = present(record, retention_s=self.settings.retention_s, place=self.queue.place(record.id))
            return JSONResponse(job.model_dump(mode="json"), 202, {"Retry-After": str(POLL_AGAIN_S)})
        refuse_without_result(record)
        stored = next(each for each in artifacts(record) if each.name == "result")
        offers = [stored.media_type, *(name for name in FORMATS if name != stored.media_type), "application/json"]
        chosen = negotiate(request.headers.get("accept"), offers)
        if chosen is None:
            raise Refused("not_acceptable", offered(offers))
        if chosen == "application/json":
            job = present(record, retention_s=self.settings.retention_s)
            return JSONResponse(job.model_dump(mode="json"), headers={"Vary": "Accept"})
        data = self.read(stored)
        if chosen != stored.media_type:
            data = self.transcode(data, chosen)
        return self.send(request, data, chosen)

    def artifact(self, request: Request, record: JobRecord, name: str) -> Response:
        found = next((each for each in artifacts(record) if each.name == name), None)
        if name == "preview":
            found = self.newest_preview(record)
        if found is None:
            raise Refused("artifact_not_found", f"job {record.id} has no artifact {name!r} (yet)")
        return self.send(request, self.read(found), found.media_type)

    def newest_preview(self, record: JobRecord) -> ArtifactRecord | None:
        previews = [event for event in self.queue.events_after({record.id: 0}) if event.type == "job.preview"]
        if not previews:
            return None
        key = previews[-1].data["key"]
        media_type = mimetypes.guess_type(key)[0] or "application/octet-stream"
        return ArtifactRecord(name="preview", key=key, media_type=media_type, bytes=0, sha256="")

    def read(self, artifact: ArtifactRecord) -> bytes:
        try:
            return self.storage.get(artifact.key)
        except BlobMissing:
            raise Refused("job_expired", f"the bytes of {artifact.name!r} were removed") from None

    def send(self, request: Request, data: bytes, media_type: str) -> Response:
        response = send_bytes(request, data, media_type, {"Vary": "Accept"})
        self.metrics.artifact_bytes.inc(len(response.body))
        return response

    def transcode(self, data: bytes, media_type: str) -> bytes:
        """The same picture in another format, with 8 bits where that has no more."""
        picture = imaging.decode(data, self.limits)
        depth = "same" if media_type in ("image/png", "image/tiff") else "8"
        return imaging.encode(picture.rgb, picture, format=FORMATS[media_type], bit_depth=depth).data  # type: ignore[arg-type]


def offered(media_types: list[str]) -> str:
    """What `Accept` may name for a result, and why an array may not be among it."""
    why = "" if NPY in media_types else f"; {NPY} only where `output.format` of the job was `npy`"
    return f"this result can be had as {', '.join(media_types)}{why}"


def refuse_without_result(record: JobRecord) -> None:
    """Raises `job_failed`, `job_canceled` or `job_expired`."""
    if record.status == "failed":
        error = error_of(record)
        raise Refused("job_failed", f"{error.code}: {error.detail}" if error else "the job failed")
    if record.status == "canceled":
        raise Refused("job_canceled", "the job was canceled")
    if record.status == "expired":
        raise Refused("job_expired", "the job did not end before its deadline")
