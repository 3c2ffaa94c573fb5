"""Files that are there whole or not at all."""

import os
import time
import uuid
from contextlib import suppress
from os import PathLike
from pathlib import Path

LEFTOVER_AGE_S = 600.0
"""A part of this age is nobody's any more."""


def write_atomically(path: str | PathLike[str], content: bytes) -> Path:
    """Write `content` to `path`, making its folder; a reader, or a crash, sees the old file or the new one."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".rediffuse-{uuid.uuid4().hex}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:  # an interrupt, too, must not leave the part behind
        part.unlink(missing_ok=True)
        raise
    return target


def remove_leftovers(folder: Path) -> None:
    """Remove from `folder`, and all below it, the parts of processes that were killed while they wrote."""
    for part in folder.rglob(".rediffuse-*.part"):
        with suppress(FileNotFoundError):
            if part.stat().st_mtime < time.time() - LEFTOVER_AGE_S:
                part.unlink()
