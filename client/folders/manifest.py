"""`manifest.json`: what became of every picture, enough to go on after a crash and to make each result again."""

import asyncio
import threading
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from client.folders.order import FolderOrder, OrderRefused
from client.saving import write_atomically

NAME = "manifest.json"


class Failure(BaseModel):
    model_config = ConfigDict(frozen=True)

    code: str
    """Of the problem, or the name of the exception."""
    detail: str


class Entry(BaseModel):
    """One picture. Paths are relative to the two folders, with forward slashes."""

    model_config = ConfigDict(frozen=True)

    source: str
    output: str
    status: Literal["pending", "submitted", "done", "failed"] = "pending"
    fingerprint: str | None = None
    """Digest of the bytes sent and of the options: the work is the same while it is."""
    source_sha256: str | None = None
    mask: str | None = None
    mask_sha256: str | None = None
    output_sha256: str | None = None
    """Of the result that was written here last."""
    job_id: str | None = None
    attempt: int = 1
    """Part of the idempotency key, so that what failed runs again when it is asked for again."""
    seed: int | None = None
    prior: str | None = None
    prior_digest: str | None = None
    parameters: dict[str, Any] = {}
    """The whole request as the service resolved it."""
    clean: bool | None = None
    """Of a photograph that was denoised: whether no noise was found in it, so that it came back as it was."""
    error: Failure | None = None


class Manifest(BaseModel):
    version: Literal[1] = 1
    task: str
    source: str
    """The folder of the pictures."""
    options: dict[str, Any]
    files: list[Entry]


class ManifestFile:
    """The manifest in memory and on disk. The file is whole at every moment."""

    def __init__(self, order: FolderOrder, entries: dict[str, Entry]):
        self.order = order
        self.path = order.target / NAME
        self.entries = entries
        """By source. No key is added later, so that a thread may read while the loop replaces values."""
        self._changes = 0
        self._saved = 0
        self._turn = asyncio.Lock()
        self._writing = threading.Lock()

    def manifest(self) -> Manifest:
        order = self.order
        files = list(self.entries.values())
        return Manifest(task=order.task, source=str(order.source.resolve()), options=dict(order.options), files=files)

    async def update(self, entry: Entry) -> None:
        """Record an entry; it is on disk when this returns. Entries that change during a write share the next one."""
        self.entries[entry.source] = entry
        self._changes += 1
        mine = self._changes
        async with self._turn:
            if self._saved < mine:
                covered = self._changes
                await asyncio.to_thread(self.write)
                self._saved = covered

    def write(self) -> None:
        """Write the manifest as it stands."""
        with self._writing:
            write_atomically(self.path, self.manifest().model_dump_json(indent=1).encode())


def open_manifest(order: FolderOrder) -> ManifestFile:
    """The entries of `order`: those of an earlier run, and new ones for new pictures. Raises `OrderRefused`."""
    order.check()
    known = {entry.source: entry for entry in earlier(order)}
    taken = {entry.output for entry in known.values()} | {NAME}
    entries: dict[str, Entry] = {}
    for source in order.images():
        entry = known.get(source)
        if entry is None:
            entry = Entry(source=source, output=order.output(source, taken))
            taken.add(entry.output)
        entries[source] = entry
    return ManifestFile(order, entries)


def earlier(order: FolderOrder) -> list[Entry]:
    """What the manifest of an earlier run says; nothing where there is none."""
    path = order.target / NAME
    if not path.exists():
        return []
    try:
        found = Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise OrderRefused(f"{path} is not a manifest of this program; name another output folder") from error
    same = found.task == order.task and Path(found.source) == order.source.resolve()
    if not same and not order.force:
        raise OrderRefused(
            f"{order.target} holds the results of `{found.task}` on {found.source}: name another output folder, "
            "or give --force"
        )
    return found.files if same else []
