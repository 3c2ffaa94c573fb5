"""Repeats of a creating request (`Idempotency-Key`): the same key names the same thing, for each owner.

A key gives the id, so the primary key of the table decides which of two requests comes first, in one API process or
several. Within a process, a repeat that overtakes its first is told so.
"""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated
from uuid import UUID, uuid4, uuid5

from fastapi import Header

from service.problems import Refused

NAMESPACE = UUID("6b1f0f6c-5a55-4b8e-9f0e-2c5f0f8a4a51")

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repeat with the same key and content gets the first answer.",
    ),
]


def identifier(kind: str, owner: str, key: str | None) -> str:
    """Id of a new `job` or `batch`: from the key where there is one, else random."""
    return str(uuid4() if key is None else uuid5(NAMESPACE, f"{kind}\n{owner}\n{key}"))


def fingerprint(*parts: str | bytes) -> str:
    """Digest of what a client sent."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()


def check_repeat(first: str, repeat: str) -> None:
    """Raises `idempotency_key_reused` where the fingerprints differ."""
    if first != repeat:
        raise Refused("idempotency_key_reused", "this Idempotency-Key came with another request before")


class InFlight:
    """The keyed requests that are being handled in this process."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def held(self, identifier: str) -> Iterator[None]:
        """Raises `idempotency_in_progress` where another request holds it."""
        with self._lock:
            if identifier in self._held:
                detail = "the first request with this Idempotency-Key is still being handled"
                raise Refused("idempotency_in_progress", detail, headers={"Retry-After": "1"})
            self._held.add(identifier)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(identifier)
