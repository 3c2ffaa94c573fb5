"""Pictures to send: paths, bytes, open files, and files that the service already has. No pixel is read here."""

import base64
import mimetypes
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import BinaryIO

from api_schemas.images import FileInfo, ImageRef

Picture = str | PathLike[str] | bytes | BinaryIO | FileInfo | ImageRef
"""A path, the bytes of an image file or of an `.npy` file, an open binary file, or what `upload` returned."""


@dataclass(frozen=True)
class Upload:
    """The content of one image file."""

    filename: str
    content: bytes

    @property
    def media_type(self) -> str:
        return mimetypes.guess_type(self.filename)[0] or "application/octet-stream"

    @property
    def data_url(self) -> str:
        return f"data:{self.media_type};base64,{base64.b64encode(self.content).decode()}"


def load(picture: Picture) -> Upload | ImageRef:
    """Read the bytes of `picture`, so that a retry can send them again. Raises OSError where that fails."""
    if isinstance(picture, ImageRef):
        return picture
    if isinstance(picture, FileInfo):
        return ImageRef(file_id=picture.id)
    if isinstance(picture, bytes):
        return Upload("image", picture)
    if isinstance(picture, str | PathLike):
        path = Path(picture)
        return Upload(path.name, path.read_bytes())
    content = picture.read()
    if not isinstance(content, bytes):
        raise TypeError("open image files in binary mode")
    name = getattr(picture, "name", None)
    return Upload(Path(name).name if isinstance(name, str) else "image", content)


def name_of(picture: Picture) -> str | None:
    """The name of the file, where `picture` is a path."""
    return Path(picture).name if isinstance(picture, str | PathLike) else None
