"""Blobs: pictures in and pictures out, in a folder or an object store.

Keys: `inputs/<sha256>` for what was sent, `jobs/<id>/...` for what a job made.
"""

import hashlib
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import NotFoundError
from obstore.store import from_url


class BlobMissing(Exception):
    """There is no blob of this key."""


def input_key(sha256: str) -> str:
    return f"inputs/{sha256}"


def artifact_key(job_id: str, attempt: int, filename: str) -> str:
    """Each attempt writes to its own place, so that a late write of a dead worker harms nothing."""
    return f"jobs/{job_id}/attempt-{attempt}/{filename}"


def job_prefix(job_id: str) -> str:
    return f"jobs/{job_id}/"


class Storage:
    """The blob store at a URL: `file:///...`, `s3://...` or `gs://...`. Blocking; safe to share between threads."""

    def __init__(self, url: str):
        if url.startswith("file:"):
            Path(unquote(urlsplit(url).path)).mkdir(parents=True, exist_ok=True)
        self._store = from_url(url)

    def put(self, key: str, data: bytes) -> str:
        """Write a blob whole; returns its SHA-256."""
        obstore.put(self._store, key, data)
        return hashlib.sha256(data).hexdigest()

    def put_input(self, data: bytes) -> str:
        """Store what a client sent under its SHA-256, which is returned."""
        sha256 = hashlib.sha256(data).hexdigest()
        if not self.exists(input_key(sha256)):
            self.put(input_key(sha256), data)
        return sha256

    def get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except (NotFoundError, FileNotFoundError) as error:
            raise BlobMissing(f"{key} is gone from the store") from error

    def exists(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return False
        return True

    def delete(self, key: str) -> None:
        """Remove a blob; none is fine."""
        try:
            obstore.delete(self._store, key)
        except (NotFoundError, FileNotFoundError):
            return

    def delete_prefix(self, prefix: str) -> None:
        for page in obstore.list(self._store, prefix=prefix):
            for item in page:
                self.delete(item["path"])
