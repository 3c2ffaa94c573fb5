"""What a client asks for: one model a task, and their union for `/v1/jobs`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from api_schemas.base import RequestModel
from api_schemas.images import ImageRef, MaskMode, Noise, NoiseLevel, OutputOptions
from api_schemas.solvers import Preset, RedDiffParams

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in a text."""

Priority = Literal["low", "normal", "high"]
Task = Literal["inpaint", "super_resolution", "denoise"]
ClientRef = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64, pattern=NO_NUL)], Annotated[str, Field(max_length=512, pattern=NO_NUL)]],
    Field(max_length=16),
]


class PreviewOptions(RequestModel):
    every: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="steps between previews")


class CommonOptions(RequestModel):
    """Fields of every task, without the pictures."""

    prior: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="name; the default prior where absent"
    )
    solver: Annotated[str, Field(max_length=100)] = "red_diff"
    params: RedDiffParams = RedDiffParams()
    preset: Preset = Field(
        "fast", description="effort: 20, 40 or 80 denoiser calls (denoising: 8, 16, 32); sets what `params` leaves open"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = Field(None, description="drawn and returned where absent")
    output: OutputOptions = OutputOptions()
    preview: PreviewOptions | None = None
    priority: Priority = "normal"
    deadline_s: Annotated[float, Field(gt=0, le=604800)] | None = Field(
        None, description="seconds from now; a job that has not ended by then is stopped and `expired`"
    )
    metadata: Metadata = {}
    client_ref: ClientRef | None = None


class InpaintOptions(CommonOptions):
    task: Literal["inpaint"] = "inpaint"
    mask_mode: MaskMode = "white_unknown"
    mask_threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.5, description="at or above this (0 to 1) a mask pixel is white"
    )
    grow_mask: Annotated[int, Field(ge=0, le=256)] = Field(0, description="pixels by which the hole is widened")
    noise: Noise = Field(NoiseLevel(sigma=0), description="noise in the known pixels")
    known_pixels: Literal["exact", "denoise"] = Field(
        "exact", description="`exact`: what is known comes back byte for byte; `denoise`: it is restored too"
    )


class SuperResolutionOptions(CommonOptions):
    task: Literal["super_resolution"] = "super_resolution"
    scale: int = Field(2, description="times as wide and high: 2, 3, 4 or 8")
    kernel: Literal["bicubic", "box"] = Field("bicubic", description="how the small picture was made from the large")
    noise: Noise = Field(NoiseLevel(sigma=0), description="noise in the small picture")


class DenoiseOptions(CommonOptions):
    task: Literal["denoise"] = "denoise"
    noise: Noise = Field("auto", description="level, or `auto`: estimated, as if it were white")


SCALES = (2, 3, 4, 8)
"""Of super-resolution; others are refused as `scale_unsupported`."""


class InpaintRequest(InpaintOptions):
    image: ImageRef
    mask: ImageRef | None = Field(None, description="absent only with mask_mode `alpha_unknown`: the alpha of `image`")


class SuperResolutionRequest(SuperResolutionOptions):
    image: ImageRef


class DenoiseRequest(DenoiseOptions):
    image: ImageRef


JobRequest = Annotated[InpaintRequest | SuperResolutionRequest | DenoiseRequest, Field(discriminator="task")]

OPTIONS: dict[str, type[CommonOptions]] = {
    "inpaint": InpaintOptions,
    "super_resolution": SuperResolutionOptions,
    "denoise": DenoiseOptions,
}
REQUESTS: dict[str, type[CommonOptions]] = {
    "inpaint": InpaintRequest,
    "super_resolution": SuperResolutionRequest,
    "denoise": DenoiseRequest,
}


class RetryRequest(RequestModel):
    """Overrides of a retry; what is absent stays as it was."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    priority: Priority | None = None
    params: RedDiffParams | None = None


class BatchItem(RequestModel):
    image: ImageRef
    mask: ImageRef | None = None
    params: dict[str, Any] = Field({}, description="options of this item, over `defaults`")
    client_ref: ClientRef | None = None


class BatchRequest(RequestModel):
    task: Task
    defaults: dict[str, Any] = Field({}, description="options of every item, as in the task's own request")
    items: Annotated[list[BatchItem], Field(min_length=1)]
    priority: Priority = "normal"
