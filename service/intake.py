"""Pictures of a request: named by id, inside a data URL, or the bytes of a form; checked, then in the store."""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from api_schemas.images import ImageRef
from service import database, imaging
from service.bodies import Picture
from service.files import FileRepository, StoredFile
from service.problems import Refused, wrong_field
from service.storage import BlobMissing, input_key


@dataclass(frozen=True)
class Intake:
    """Blocking; safe to share between threads. `field` is the JSON pointer of a picture, without the first slash."""

    files: FileRepository
    retention_s: float

    def take(self, owner: str, picture: Picture, field: str, limits: imaging.ImageLimits | None = None) -> StoredFile:
        """The stored picture. `limits`: others than those of the service. Raises Refused."""
        if isinstance(picture, ImageRef):
            if picture.file_id is not None:
                return self._find(owner, picture.file_id, field)
            picture = decode_data_url(picture.data_url or "", f"{field}/data_url")
        with naming(field):
            return self.files.ingest(owner, picture, limits=limits)[0]

    def content(self, stored: StoredFile) -> bytes:
        """Its bytes. Raises Refused where they went in the meantime."""
        try:
            return self.files.content(stored)
        except BlobMissing:
            raise Refused("file_not_found", "the bytes of a file are gone; send it again") from None

    def _find(self, owner: str, file_id: str, field: str) -> StoredFile:
        stored = self.files.get(owner, file_id)
        if stored is None or not self.files.storage.exists(input_key(stored.sha256)):
            detail = f"there is no file {file_id!r}; files expire after their last use"
            raise wrong_field(f"/{field}/file_id", "unknown", detail, problem_code="file_not_found")
        self.files.touch(stored.id, database.now() + self.retention_s)
        return stored


@contextmanager
def naming(field: str) -> Iterator[None]:
    """A picture that is refused is refused with the name of its field."""
    try:
        yield
    except imaging.ImageRefused as error:
        raise wrong_field(f"/{field}", error.code, error.detail, problem_code=error.code) from error


def decode_data_url(url: str, field: str) -> bytes:
    head, comma, text = url.partition(",")
    if not (comma and head.startswith("data:") and head.endswith(";base64")):
        raise wrong_field(f"/{field}", "data_url", "must look like data:image/png;base64,...")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wrong_field(f"/{field}", "base64", "the part after the comma is not base64") from None


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
