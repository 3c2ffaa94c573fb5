"""Pictures that clients sent: their rows, their blobs, and how long both stay.

Equal bytes of one owner are one file. A blob is shared by every file and every job that names its SHA-256, and goes
with the last of them.
"""

import hashlib
import threading
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from service import database, imaging
from service.storage import Storage, input_key

files = database.files
job_inputs = database.job_inputs


@dataclass(frozen=True)
class StoredFile:
    """A picture that can be named in requests."""

    id: str
    owner: str
    sha256: str
    info: dict[str, Any]
    """Fields of `imaging.ImageInfo`."""
    created_at: float
    expires_at: float

    @property
    def media_type(self) -> str:
        return imaging.MEDIA_TYPES[self.info["format"]]


def file_id(owner: str, sha256: str) -> str:
    return "file_" + hashlib.sha256(f"{owner}\n{sha256}".encode()).hexdigest()[:32]


class FileRepository:
    """Blocking; safe to share between threads."""

    def __init__(self, engine: sa.Engine, storage: Storage, limits: imaging.ImageLimits, retention_s: float):
        self.engine = engine
        self.storage = storage
        self.limits = limits
        self.retention_s = retention_s
        self._blobs = threading.Lock()
        """Held where a blob comes or goes, so that none goes while a file of the same bytes arrives."""

    def ingest(
        self, owner: str, data: bytes, expires_in: float | None = None, *, limits: imaging.ImageLimits | None = None
    ) -> tuple[StoredFile, bool]:
        """Check and store a picture; the second value is True where it is new. Raises imaging.ImageRefused.

        limits: in place of the usual ones, for a picture that is no input of its own, such as a kernel.
        """
        info = asdict(imaging.inspect(data, limits or self.limits))
        now = database.now()
        stored = StoredFile(
            id=file_id(owner, info["sha256"]),
            owner=owner,
            sha256=info["sha256"],
            info=info,
            created_at=now,
            expires_at=now + (expires_in or self.retention_s),
        )
        with self._blobs:
            is_new = self._insert(stored)
            self.storage.put_input(data)
        if is_new:
            return stored, True
        self.touch(stored.id, stored.expires_at)
        known = self.get(owner, stored.id)
        return known or stored, False

    def _insert(self, stored: StoredFile) -> bool:
        with self.engine.begin() as connection:
            gone = (files.c.id == stored.id) & (files.c.expires_at <= stored.created_at)
            connection.execute(files.delete().where(gone))
        try:
            with self.engine.begin() as connection:
                connection.execute(files.insert().values(asdict(stored)))
        except IntegrityError:
            return False
        return True

    def get(self, owner: str, identifier: str) -> StoredFile | None:
        if "\0" in identifier:
            return None  # PostgreSQL would refuse the question
        query = sa.select(files).where(
            files.c.id == identifier, files.c.owner == owner, files.c.expires_at > database.now()
        )
        with self.engine.connect() as connection:
            row = connection.execute(query).mappings().first()
        return StoredFile(**row) if row else None

    def touch(self, identifier: str, until: float) -> None:
        """A file that is used again stays at least until then."""
        longer = (files.c.id == identifier) & (files.c.expires_at < until)
        with self.engine.begin() as connection:
            connection.execute(files.update().where(longer).values(expires_at=until))

    def content(self, stored: StoredFile) -> bytes:
        """Raises BlobMissing."""
        return self.storage.get(input_key(stored.sha256))

    def delete(self, stored: StoredFile) -> None:
        """Forget a file. Its bytes stay while a job or another file needs them."""
        with self.engine.begin() as connection:
            connection.execute(files.delete().where(files.c.id == stored.id))
        self.release([stored.sha256])

    def expire(self, moment: float) -> int:
        """Forget the files whose time is over."""
        with self.engine.begin() as connection:
            over = connection.execute(sa.select(files.c.id, files.c.sha256).where(files.c.expires_at <= moment)).all()
            connection.execute(files.delete().where(files.c.id.in_([row.id for row in over])))
        self.release([row.sha256 for row in over])
        return len(over)

    def release(self, digests: list[str]) -> None:
        """Remove the blobs that no file and no job names any more."""
        for sha256 in set(digests):
            with self._blobs:
                if not self._is_used(sha256):
                    self.storage.delete(input_key(sha256))

    def _is_used(self, sha256: str) -> bool:
        named = [
            sa.select(files.c.id).where(files.c.sha256 == sha256).exists(),
            sa.select(job_inputs.c.job_id).where(job_inputs.c.sha256 == sha256).exists(),
        ]
        with self.engine.connect() as connection:
            return bool(connection.execute(sa.select(sa.or_(*named))).scalar())
