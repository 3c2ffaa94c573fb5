"""Blur kernels on the wire: a shape with its measures in pixels, or a picture of the kernel."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from api_schemas.base import RequestModel
from api_schemas.images import ImageRef

MAX_KERNEL_SIDE = 129
"""Longest side of a kernel in pixels; the bounds below keep to it."""
MAX_SEED = 2**63

Boundary = Literal["reflect", "zero", "circular"]


class GaussianKernel(RequestModel):
    """A lens that is out of focus, roughly, or a cheap filter."""

    kind: Literal["gaussian"]
    width: float = Field(gt=0, le=16, description="standard deviation in pixels")


class MotionKernel(RequestModel):
    """A camera or a thing that moved on a straight line."""

    kind: Literal["motion"]
    length: float = Field(gt=0, le=128, description="in pixels")
    angle: float = Field(0, ge=-360, le=360, description="in degrees, counter-clockwise from the horizontal")


class PathKernel(RequestModel):
    """A hand that shook: a random path."""

    kind: Literal["path"]
    size: int = Field(61, ge=3, le=MAX_KERNEL_SIDE, description="side of the square that holds the path, in pixels")
    intensity: float = Field(0.5, ge=0, le=1, description="0 is a straight line, 1 the wildest path")
    seed: int = Field(0, ge=0, lt=MAX_SEED, description="which path")


class DiskKernel(RequestModel):
    """A lens that is out of focus."""

    kind: Literal["disk"]
    radius: float = Field(gt=0, le=64, description="in pixels")


class BoxKernel(RequestModel):
    """The mean of a square."""

    kind: Literal["box"]
    size: int = Field(ge=1, le=MAX_KERNEL_SIDE, description="side of the square in pixels")


class ImageKernel(ImageRef):
    """A picture of the kernel, its middle the pixel that stays in place; brightness is weight, and is made to sum to 1.

    At most 129 pixels a side, and not black.
    """

    kind: Literal["image"]


Kernel = Annotated[
    GaussianKernel | MotionKernel | PathKernel | DiskKernel | BoxKernel | ImageKernel, Field(discriminator="kind")
]


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "name"
    return "shape" if isinstance(value, RequestModel | dict) else None


ShrinkingKernel = Annotated[
    Annotated[Literal["bicubic", "box"], Tag("name")] | Annotated[Kernel, Tag("shape")],
    Discriminator(
        _form,
        custom_error_type="kernel_form",
        custom_error_message='give "bicubic", "box" or a kernel such as {"kind": "gaussian", "width": 2}',
    ),
]
"""What filters a picture before it is decimated: a filter made for the scale, or a blur kernel."""
