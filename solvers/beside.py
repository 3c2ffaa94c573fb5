"""What was measured with the weights of a prior: JSON files in its folder that name them by their digest."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def read_beside(path: Path, digest: str, what: str, convert: Callable[[dict[str, Any]], T]) -> T | None:
    """`convert` of the fields; None where there is no file, or one of other weights than `digest`.

    Raises ValueError, which says `what` it is not, for a file that cannot be read or converted.
    """
    if not path.is_file():
        return None
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return convert(fields) if fields["sha256"] == digest else None
    except (ArithmeticError, AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no {what}: {error!r}") from error


def write_beside(path: Path, digest: str, fields: dict[str, Any]) -> Path:
    """For `read_beside`; replaces what was there."""
    path.write_text(json.dumps({"sha256": digest} | fields, indent=1) + "\n", encoding="utf-8")
    return path
