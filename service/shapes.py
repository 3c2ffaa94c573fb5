"""Sizes without pixels: what an operator of the wire makes of a shape, there and back. No torch."""

import math
from bisect import bisect_left
from itertools import pairwise

from api_schemas.operators import parts_of
from service.queue.base import Json

Shape = tuple[int, int, int]
"""(channels, height, width)."""
COLOURS = 3
GAUSSIAN_REACH = 4
"""Standard deviations from the middle of a Gaussian kernel to its border."""


class ShapeMismatch(Exception):
    """A part of an operator cannot act on what it is given."""

    def __init__(self, pointer: str, detail: str):
        super().__init__(detail)
        self.pointer = pointer
        """Inside of the operator."""
        self.detail = detail


def from_image(operator: Json, image: Shape) -> list[Shape]:
    """The shapes before the first part, between the parts and after the last. Raises ShapeMismatch."""
    shapes = [image]
    for pointer, part in parts_of(operator):
        shapes.append(after(pointer, part, shapes[-1]))
    return shapes


def from_measurement(operator: Json, measurement: Shape) -> list[Shape]:
    """The same, found from the end. Raises ShapeMismatch."""
    shapes = [measurement]
    for pointer, part in reversed(parts_of(operator)):
        shapes.append(before(pointer, part, shapes[-1]))
    shapes.reverse()
    for (pointer, part), (shape, following) in zip(parts_of(operator), pairwise(shapes), strict=True):
        if after(pointer, part, shape) != following:
            raise ShapeMismatch(pointer, f"it makes no {text(following)} of {text(shape)}")
    return shapes


def before(pointer: str, part: Json, shape: Shape) -> Shape:
    """Of what a part makes `shape`."""
    channels, height, width = shape
    match part["kind"]:
        case "downsample":
            return channels, height * part["scale"], width * part["scale"]
        case "grey" if channels != 1:
            raise ShapeMismatch(pointer, "what it gives has no colours, and colours come after it")
        case "grey":
            return COLOURS, height, width
        case "matrix":
            return channels, part["height"], part["width"]
        case "phase":
            return channels, *(without_margins(side, part["oversampling"]) for side in (height, width))
        case _:
            return shape


def after(pointer: str, part: Json, shape: Shape) -> Shape:
    """What a part makes of `shape`."""
    channels, height, width = shape
    match part["kind"]:
        case "downsample":
            scale = part["scale"]
            if height % scale or width % scale:
                raise ShapeMismatch(pointer, f"{height} x {width} pixels are no multiple of the scale {scale}")
            return channels, height // scale, width // scale
        case "grey" if channels == 1:
            raise ShapeMismatch(pointer, "the colours are lost already")
        case "grey":
            return 1, height, width
        case "matrix":
            if (height, width) != (part["height"], part["width"]):
                wanted = f"{part['height']} x {part['width']} pixels"
                raise ShapeMismatch(pointer, f"it acts on {wanted} (height x width), not on {height} x {width}")
            return channels, part["output_height"], part["output_width"]
        case "phase":
            return channels, *(with_margins(side, part["oversampling"]) for side in (height, width))
        case _:
            return shape


def with_margins(side: int, oversampling: float) -> int:
    """Pixels of a side in the frame of a phase retrieval, as in `solvers.operators.phase`, which imports torch."""
    return side + 2 * int(oversampling / 8 * side)


def without_margins(framed: int, oversampling: float) -> int:
    """The side that gets so many pixels with its margins, or the first that gets more where none does."""
    return bisect_left(range(framed + 1), framed, key=lambda side: with_margins(side, oversampling))


def measured_channels(operator: Json) -> int:
    """1 where the operator loses the colours, else 3."""
    return 1 if any(part["kind"] == "grey" for _, part in parts_of(operator)) else COLOURS


def text(shape: Shape) -> str:
    return f"{shape[1]} x {shape[2]} pixels with {shape[0]} channels"


def kernel_side(kernel: Json) -> int:
    """Longest side in pixels of a resolved kernel of the wire."""
    match kernel["kind"]:
        case "gaussian":
            return 2 * math.ceil(GAUSSIAN_REACH * kernel["width"]) + 1
        case "motion":
            return 2 * math.ceil(max(0.0, kernel["length"] - 1) / 2) + 1
        case "disk":
            return 2 * math.ceil(kernel["radius"]) + 1
        case "box" | "path":
            return kernel["size"]
        case _:
            return max(kernel["width"], kernel["height"])


def operator_of(request: Json) -> Json | None:
    """The operator of a resolved request of any task; None for inpainting, whose mask is a field of its own."""
    match request["task"]:
        case "restore" | "apply":
            return request["operator"]
        case "deblur":
            return {"kind": "blur", "kernel": request["kernel"], "boundary": request["boundary"]}
        case "super_resolution":
            return {"kind": "downsample", "scale": request["scale"], "kernel": request["kernel"]}
        case "denoise":
            return {"kind": "identity"}
        case _:
            return None
