"""Files of a form that belong inside another field: a mask, a picture of a kernel or a matrix of an operator.

They are put where the JSON of that field leaves room for them, as the data URLs that a JSON body would hold.
"""

import base64
from collections.abc import Iterator
from typing import Any

from service.problems import wrong_field

ATTACHMENTS: dict[str, tuple[str, ...]] = {
    "super_resolution": ("kernel_image",),
    "deblur": ("kernel_image",),
    "restore": ("mask", "kernel_image", "matrix"),
    "apply": ("mask", "kernel_image", "matrix"),
}
"""By task: the names of such files."""


def attach(options: dict[str, Any], name: str, data: bytes) -> None:
    """Put a file of a form into `options`, which nothing has checked yet. Raises `validation_failed`."""
    url = f"data:application/octet-stream;base64,{base64.b64encode(data).decode()}"
    if "operator" not in options:
        if options.setdefault("kernel", {"kind": "image"}) != {"kind": "image"}:
            raise wrong_field(f"/{name}", "unused", "`kernel` describes another kernel already")
        options["kernel"] = {"kind": "image", "data_url": url}
        return
    rooms = [room for part in parts(options["operator"]) for room in rooms_in(part, name)]
    for holder, field, value in rooms:
        holder[field] = value(url)
    if not rooms:
        raise wrong_field(f"/{name}", "unused", "no part of `operator` leaves room for this file")


def parts(operator: Any) -> Iterator[dict[str, Any]]:
    """The objects that may be operators."""
    listed = operator.get("operators", [operator]) if isinstance(operator, dict) else []
    return (part for part in listed if isinstance(part, dict)) if isinstance(listed, list) else iter(())


def rooms_in(part: dict[str, Any], name: str) -> Iterator[tuple[dict[str, Any], str, Any]]:
    """Where a part waits for the file: an object, a field of it, and what makes its value of a data URL."""
    kernel = part.get("kernel")
    if name == "mask" and part.get("kind") == "mask" and not part.keys() & {"mask", "pattern"}:
        yield part, "mask", lambda url: {"data_url": url}
    if name == "matrix" and part.get("kind") == "matrix" and not part.keys() & {"rows", "entries", "npy"}:
        yield part, "npy", lambda url: url
    if name == "kernel_image" and kernel == {"kind": "image"}:
        yield kernel, "data_url", lambda url: url
