"""Kernels and operators to send: descriptions as the service documents them, with pictures and arrays of one's own.

Where the wire has a reference (`file_id`, `data_url`), a path, bytes or an open file may stand; no pixel is read here.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from api_schemas.images import FileInfo, ImageRef
from client.pictures import Picture, Upload, load

Kernel = Mapping[str, Any] | BaseModel | Picture
"""A description such as `{"kind": "gaussian", "width": 2}`, or a picture of the kernel."""
Operator = Mapping[str, Any] | BaseModel
"""A description such as `{"kind": "mask", "mask": "mask.png"}`; of a matrix, `npy` is a path or bytes."""


def kernel(given: Any) -> Any:
    """The JSON of a kernel."""
    if isinstance(given, FileInfo | ImageRef):
        return {"kind": "image", **reference(load(given))}
    if isinstance(given, BaseModel | Mapping):
        return plain(given)
    return {"kind": "image", **reference(load(given))}


def operator(given: Operator) -> Any:
    """The JSON of an operator. Raises OSError for a file that cannot be read."""
    fields = dict(plain(given))
    if "operators" in fields:
        fields["operators"] = [operator(part) for part in fields["operators"]]
    if fields.get("kind") == "blur" or (fields.get("kind") == "downsample" and not is_word(fields.get("kernel"))):
        fields |= {"kernel": kernel(fields["kernel"])} if "kernel" in fields else {}
    if "mask" in fields and not isinstance(fields["mask"], Mapping):
        fields["mask"] = reference(load(fields["mask"]))
    if "npy" in fields and not str(fields["npy"]).startswith("data:"):
        fields["npy"] = reference(load(fields["npy"]))["data_url"]
    return fields


def reference(picture: Upload | ImageRef) -> dict[str, Any]:
    """A picture inside JSON."""
    return {"data_url": picture.data_url} if isinstance(picture, Upload) else plain(picture)


def plain(value: Any) -> Any:
    """A description as a mapping."""
    return value.model_dump(mode="json", exclude_none=True) if isinstance(value, BaseModel) else value


def is_word(kernel: Any) -> bool:
    """The name of a filter that belongs to a scale."""
    return kernel is None or kernel in ("bicubic", "box")
