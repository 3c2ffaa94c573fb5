"""What is asked for: which folder, which task, which options; and which file becomes which."""

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
SUFFIX_OF_FORMAT = {"png": ".png", "tiff": ".tif", "webp": ".webp", "jpeg": ".jpg"}
WRITTEN_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff"})


class OrderRefused(Exception):
    """The order makes no sense, or one of its files cannot be restored; nothing was sent."""


@dataclass(frozen=True)
class FolderOrder:
    """Restore the pictures below `source` into the same places below `target`."""

    task: str
    source: Path
    target: Path
    options: Mapping[str, Any] = field(default_factory=dict)
    """As in the task's request."""
    masks: Path | None = None
    """One mask for all, or a folder of masks named as the pictures."""
    in_flight: int = 8
    """Jobs that are on the service at a time."""
    force: bool = False
    """Whether to write over files that were not made here."""

    def check(self) -> None:
        """Raises `OrderRefused`."""
        if not self.source.is_dir():
            raise OrderRefused(f"{self.source} is no folder")
        if self.target.exists() and not self.target.is_dir():
            raise OrderRefused(f"{self.target} is no folder")
        if self.source.resolve() == self.target.resolve():
            raise OrderRefused("the results would replace their sources: name another output folder")
        if self.masks is not None and not self.masks.exists():
            raise OrderRefused(f"{self.masks} does not exist")

    @property
    def format(self) -> str:
        """The file format of the results."""
        return self.options.get("output", {}).get("format", "png")

    def images(self) -> Iterator[str]:
        """Paths of the pictures below `source`, relative to it; hidden files and those of `target` are left out."""
        target = self.target.resolve()
        for folder, subfolders, files in os.walk(self.source):
            here = Path(folder)
            subfolders[:] = sorted(
                name for name in subfolders if not name.startswith(".") and (here / name).resolve() != target
            )
            for name in sorted(files):
                if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                    yield (here / name).relative_to(self.source).as_posix()

    def mask(self, source: str) -> Path | None:
        """The mask of a picture: the one for all, or the file of its name (any suffix) in the folder of masks."""
        if self.masks is None or self.masks.is_file():
            return self.masks
        wanted = self.masks / source
        for suffix in (".png", *sorted(SUFFIXES)):
            if wanted.with_suffix(suffix).is_file():
                return wanted.with_suffix(suffix)
        raise OrderRefused(f"there is no mask {wanted.with_suffix('.png')}")

    def output(self, source: str, taken: Collection[str]) -> str:
        """Path of the result below `target`: the name of the source, with both suffixes where that one is taken."""
        path = PurePosixPath(source)
        suffix = SUFFIX_OF_FORMAT.get(self.format, path.suffix if path.suffix.lower() in WRITTEN_SUFFIXES else ".png")
        plain = path.with_suffix(suffix).as_posix()
        return plain if plain not in taken else f"{source}{suffix}"
