"""Operators: how a measurement came from the picture that is sought, `y = H x + noise`.

A task chooses its operator; these descriptions say which kinds there are and what decides each.
"""

from typing import Literal

from pydantic import Field

from api_schemas.base import RequestModel
from api_schemas.images import MaskMode


class MaskOperator(RequestModel):
    """Keeps the known pixels and loses the others: the operator of inpainting."""

    kind: Literal["mask"] = "mask"
    mask_mode: MaskMode = Field("white_unknown", description="which pixels of the mask are unknown")
    mask_threshold: float = Field(0.5, gt=0, lt=1, description="at or above this (0 to 1) a mask pixel is white")
    grow_mask: int = Field(0, ge=0, le=256, description="pixels by which the hole is widened")


class DownsampleOperator(RequestModel):
    """Filters and keeps one pixel of each `scale` x `scale` square: the operator of super-resolution."""

    kind: Literal["downsample"] = "downsample"
    scale: Literal[2, 3, 4, 8] = Field(2, description="side of the square")
    kernel: Literal["bicubic", "box"] = Field(
        "bicubic", description="`bicubic`: anti-aliased, as Pillow's BICUBIC shrinks; `box`: mean of the square"
    )


class IdentityOperator(RequestModel):
    """Changes nothing; only noise stands between the picture and the measurement: the operator of denoising."""

    kind: Literal["identity"] = "identity"


OPERATORS: dict[str, type[RequestModel]] = {
    "mask": MaskOperator,
    "downsample": DownsampleOperator,
    "identity": IdentityOperator,
}
