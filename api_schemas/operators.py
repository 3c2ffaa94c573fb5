"""Operators: how a measurement came from the picture that is sought, `y = H(x) + noise`.

A task chooses its operator; `/v1/restore` takes one from the client, alone or as a chain (`compose`). Values are those
of the solvers, [-1, 1] for black to white: what a mask loses becomes 0, mid-grey. A measurement that no picture
carries, of magnitudes or of a matrix, is sent as an `.npy` file, on the scale of all pictures: y as (y + 1) / 2.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from api_schemas.base import RequestModel
from api_schemas.images import ImageRef, MaskMode
from api_schemas.kernels import Boundary, Kernel, ShrinkingKernel
from api_schemas.patterns import Pattern

MAX_PARTS = 8
MAX_MATRIX = 2**22
"""Numbers in a dense matrix, or entries of a sparse one in a file."""
MAX_ENTRIES = 2**18
"""Of a sparse matrix in JSON."""
Index = Annotated[int, Field(ge=0, lt=2**24)]
Entry = Annotated[tuple[Index, Index, float], Field(strict=False)]
"""Row and column, counted from 0, and value. JSON has no tuples, so that a list must do."""


class MaskOperator(RequestModel):
    """Keeps the known pixels and loses the others: the operator of inpainting.

    Which ones: a picture `mask` or a `pattern`.
    """

    kind: Literal["mask"] = "mask"
    mask: ImageRef | None = Field(None, description="picture of the size that the operator acts on")
    pattern: Pattern | None = Field(None, description="in place of a picture")
    mask_mode: MaskMode = Field("white_unknown", description="which pixels of the mask are unknown")
    mask_threshold: float = Field(0.5, gt=0, lt=1, description="at or above this (0 to 1) a mask pixel is white")
    grow_mask: int = Field(0, ge=0, le=256, description="pixels by which the hole is widened")

    @model_validator(mode="after")
    def _exactly_one(self) -> "MaskOperator":
        if (self.mask is None) == (self.pattern is None):
            raise ValueError("give exactly one of `mask` and `pattern`")
        return self


class DownsampleOperator(RequestModel):
    """Filters and keeps one pixel of each `scale` x `scale` square: the operator of super-resolution."""

    kind: Literal["downsample"] = "downsample"
    scale: Literal[2, 3, 4, 8] = Field(2, description="side of the square")
    kernel: ShrinkingKernel = Field(
        "bicubic",
        description="`bicubic`: anti-aliased, as Pillow's BICUBIC shrinks; `box`: mean of the square; or a blur "
        "kernel. One whose side is odd where the scale is even, or the other way, moves the picture by half a pixel; a "
        "`gaussian` is given a side that does not",
    )


class BlurOperator(RequestModel):
    """Spreads each pixel over its neighbours by a kernel: the operator of deblurring."""

    kind: Literal["blur"] = "blur"
    kernel: Kernel = Field(description="how far each pixel is spread")
    boundary: Boundary = Field(
        "reflect", description="what lies beyond the border: the picture mirrored, mid-grey, or its other side"
    )


class GreyOperator(RequestModel):
    """Keeps the brightness and loses the colours: the operator of colourisation."""

    kind: Literal["grey"] = "grey"


class IdentityOperator(RequestModel):
    """Changes nothing; only noise stands between the picture and the measurement: the operator of denoising."""

    kind: Literal["identity"] = "identity"


class MatrixOperator(RequestModel):
    """Any linear map of a picture, as a matrix, dense or sparse.

    It has a column for each pixel, line by line from the top, and a row for each pixel of the measurement; the colour
    planes are mapped alike. A dense one has at most 4,194,304 numbers, in `rows` or as an `.npy` file; a sparse one any
    size and at most 262,144 `entries`, or 4,194,304 in an `.npy` file. In a form, the file `matrix`.
    """

    kind: Literal["matrix"] = "matrix"
    width: int = Field(ge=1, le=4096, description="of the picture that the matrix acts on")
    height: int = Field(ge=1, le=4096, description="of the picture that the matrix acts on")
    output_width: int | None = Field(None, ge=1, le=4096, description="of the measurement; `width` where absent")
    output_height: int | None = Field(None, ge=1, le=4096, description="of the measurement; `height` where absent")
    rows: list[list[float]] | None = Field(None, description="the numbers, row by row")
    entries: list[Entry] | None = Field(
        None,
        min_length=1,
        max_length=MAX_ENTRIES,
        fail_fast=True,
        description="of a sparse matrix: `[row, column, value]`, both counted from 0; those at the same place add up",
    )
    npy: str | None = Field(
        None,
        description="`data:application/octet-stream;base64,...` of an `.npy` file of floats",
    )
    sparse: bool = Field(False, description="`npy` has the shape (k, 3), its rows are `entries` of a sparse matrix")

    @model_validator(mode="after")
    def _exactly_one(self) -> "MatrixOperator":
        if [self.rows, self.entries, self.npy].count(None) != 2:
            raise ValueError("give exactly one of `rows`, `entries` and `npy`")
        if self.sparse and self.rows is not None:
            raise ValueError("`rows` are those of a dense matrix; give `entries` or an `npy` of them")
        return self


class ClipOperator(RequestModel):
    """Multiplies and cuts off what is too dark or too bright: the operator of overexposure."""

    kind: Literal["clip"] = "clip"
    gain: float = Field(2.0, gt=0, le=64, description="factor around mid-grey before the cut")


class JpegOperator(RequestModel):
    """What compression does: quantises the cosine coefficients of blocks."""

    kind: Literal["jpeg"] = "jpeg"
    quality: int = Field(10, ge=1, le=100, description="as in an encoder of JPEG files")
    subsampling: Literal["4:4:4", "4:2:0"] = Field("4:2:0", description="whether colour has all pixels or a quarter")


class QuantiseOperator(RequestModel):
    """Rounds every value to one of a few steps."""

    kind: Literal["quantise"] = "quantise"
    bits: int = Field(2, ge=1, le=8, description="a channel has 2^bits steps")


class GammaOperator(RequestModel):
    """A tone curve: brightness to the power of gamma."""

    kind: Literal["gamma"] = "gamma"
    gamma: float = Field(2.2, ge=0.1, le=10, description="exponent of the values on the 0 to 1 scale")


class PhaseOperator(RequestModel):
    """Keeps the magnitudes of the Fourier transform and loses its phases: the operator of phase retrieval.

    The picture, on the [-1, 1] scale, gets a frame of mid-grey, on both ends of each side the whole part of an
    `oversampling` / 8 of it; then the magnitudes of its orthonormal transform are taken, the zero frequency in the
    middle, plane by plane. They are no picture: send a magnitude y as (y + 1) / 2 in an `.npy` file, as
    `/v1/operators/apply` gives it with `output.format` `npy`; values below 0.5 by more than the noise are refused,
    since no magnitude is negative. Magnitudes do not tell a picture from its negative, from itself turned by 180
    degrees, or shifted inside of the frame: the result is one of these at best, and a search that may end elsewhere.
    The level of `noise` is not estimated from them.
    """

    kind: Literal["phase"] = "phase"
    oversampling: float = Field(2.0, ge=0, le=8, description="2 gives 2.25 magnitudes a pixel, 4 gives 4")


_Part = (
    MaskOperator
    | DownsampleOperator
    | BlurOperator
    | GreyOperator
    | IdentityOperator
    | MatrixOperator
    | ClipOperator
    | JpegOperator
    | QuantiseOperator
    | GammaOperator
    | PhaseOperator
)
Part = Annotated[_Part, Field(discriminator="kind")]


class ComposeOperator(RequestModel):
    """Several operators, one after the other: the first acts on the picture, the last gives the measurement.

    It does not nest, and loses the colours at most once.
    """

    kind: Literal["compose"] = "compose"
    operators: list[Part] = Field(min_length=1, max_length=MAX_PARTS, description="from the picture to the measurement")


AnyOperator = Annotated[_Part | ComposeOperator, Field(discriminator="kind")]

OPERATORS: dict[str, type[RequestModel]] = {
    "mask": MaskOperator,
    "downsample": DownsampleOperator,
    "blur": BlurOperator,
    "grey": GreyOperator,
    "identity": IdentityOperator,
    "matrix": MatrixOperator,
    "clip": ClipOperator,
    "jpeg": JpegOperator,
    "quantise": QuantiseOperator,
    "gamma": GammaOperator,
    "phase": PhaseOperator,
    "compose": ComposeOperator,
}
NONLINEAR = frozenset({"clip", "jpeg", "quantise", "gamma", "phase"})


def parts_of(operator: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The parts of an operator from the picture to the measurement, each with its JSON pointer inside of it."""
    if operator["kind"] != "compose":
        return [("", operator)]
    return [(f"/operators/{index}", part) for index, part in enumerate(operator["operators"])]


def is_linear(operator: dict[str, Any]) -> bool:
    return not any(part["kind"] in NONLINEAR for _, part in parts_of(operator))


def mask_words(part: dict[str, Any]) -> dict[str, Any]:
    """How the picture of a mask is to be read: which value is unknown, from where on, and how much wider."""
    return {"mode": part["mask_mode"], "threshold": part["mask_threshold"], "grow": part["grow_mask"]}
