"""Files that are there whole or not at all."""

import os
import uuid
from os import PathLike
from pathlib import Path


def write_atomically(path: str | PathLike[str], content: bytes) -> Path:
    """Write `content` to `path`, making its folder; a reader, or a crash, sees the old file or the new one."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{uuid.uuid4().hex}.part")
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
