"""Holes without a picture of them: patterns that fit any size."""

from typing import Annotated, Literal

from pydantic import Field

from api_schemas.base import RequestModel
from api_schemas.kernels import MAX_SEED

Seed = Annotated[int, Field(ge=0, lt=MAX_SEED)]


class RandomPattern(RequestModel):
    """Single pixels, each lost by the same chance."""

    kind: Literal["random"]
    missing: float = Field(0.5, gt=0, lt=1, description="fraction of the pixels that is lost")
    seed: Seed = Field(0, description="which pixels")


class FreeFormPattern(RequestModel):
    """Strokes as of a brush."""

    kind: Literal["free_form"]
    missing: float = Field(0.25, gt=0, le=0.9, description="fraction of the pixels that is lost, at least")
    seed: Seed = Field(0, description="which strokes")


class BoxPattern(RequestModel):
    """One rectangle."""

    kind: Literal["box"]
    top: int = Field(ge=0, le=2**20, description="first lost row")
    left: int = Field(ge=0, le=2**20, description="first lost column")
    height: int = Field(ge=1, le=2**20, description="lost rows")
    width: int = Field(ge=1, le=2**20, description="lost columns")


class TextPattern(RequestModel):
    """A line of text, repeated over the picture."""

    kind: Literal["text"]
    text: str = Field(
        "Lorem ipsum dolor sit amet ",
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f]+$",
        description="what is written, in one line",
    )
    size: int = Field(16, ge=8, le=256, description="height of the letters in pixels")


Pattern = Annotated[RandomPattern | FreeFormPattern | BoxPattern | TextPattern, Field(discriminator="kind")]
