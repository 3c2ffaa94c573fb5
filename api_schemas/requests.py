"""What a client asks for: one model a task, and their union for `/v1/jobs`."""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from api_schemas.base import FormModel, Number, RequestModel
from api_schemas.images import ImageRef, MaskMode, Noise, NoiseLevel, OutputOptions
from api_schemas.kernels import Boundary, Kernel, ShrinkingKernel
from api_schemas.operators import AnyOperator
from api_schemas.solvers import PARAMS, Preset, SolverParams

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL keeps no NUL in a text."""

Priority = Literal["low", "normal", "high"]
Task = Literal["inpaint", "super_resolution", "denoise", "deblur", "restore", "apply"]
"""`apply`: an operator applied to a picture, `/v1/operators/apply`; the others restore."""
RestoringTask = Literal["inpaint", "super_resolution", "denoise", "deblur", "restore"]
MAX_SAMPLES = 16
ClientRef = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Metadata = Annotated[
    dict[Annotated[str, Field(max_length=64, pattern=NO_NUL)], Annotated[str, Field(max_length=512, pattern=NO_NUL)]],
    Field(max_length=16),
]


class PreviewOptions(RequestModel):
    every: Annotated[int, Field(ge=1, le=1000)] = Field(10, description="steps between previews")


class UncertaintyOptions(RequestModel):
    """How sure the service shall say it is of each pixel."""

    method: Literal["ensemble"] = Field(
        "ensemble", description="spread of restorations that start from noise of their own"
    )
    samples: Annotated[int, Field(ge=2, le=MAX_SAMPLES)] = Field(8, description="members of the ensemble")


class CommonOptions(FormModel):
    """Fields of every restoring task, without the pictures."""

    prior: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="name; the default of the solver where absent"
    )
    solver: Annotated[str, Field(max_length=100)] = "red_diff"
    params: SolverParams = Field({}, validate_default=True, description="of the solver; see `/v1/solvers`")
    preset: Preset = Field(
        "fast",
        description="effort of `red_diff`: 20, 40 or 80 denoiser calls (denoising: 8, 16, 32); sets what `params` "
        "leaves open. Without effect on other solvers, `score_dvi` among them, and on mode `paper`: each has one "
        "default, and its effort in `params` (`steps`; of `score_dvi` `sweeps` or `iterations` also)",
    )
    seed: Annotated[int, Number, Field(ge=0, lt=2**63)] | None = Field(
        None, description="drawn and returned where absent"
    )
    num_samples: Annotated[int, Number, Field(ge=0, le=MAX_SAMPLES)] = Field(
        0,
        description="pictures beside the result that fit the measurement as well, `sample_0`, `sample_1`, ...: of a "
        "solver that samples so many samples, whose mean is the result; else members of an ensemble, run for them",
    )
    uncertainty: UncertaintyOptions | None = Field(
        None,
        description="asks for the artifacts `uncertainty`, a picture of the standard deviation of each pixel that is "
        "white at `metrics.uncertainty_scale`, and `uncertainty_raw`, float32 (height, width, channels) on the 0 to 1 "
        "scale as `.npy`",
    )
    output: OutputOptions = OutputOptions()
    preview: PreviewOptions | None = None
    priority: Priority = "normal"
    deadline_s: Annotated[float, Number, Field(gt=0, le=604800)] | None = Field(
        None, description="seconds from now; a job that has not ended by then is stopped and `expired`"
    )
    metadata: Metadata = {}
    client_ref: ClientRef | None = None

    @field_validator("params", mode="before")
    @classmethod
    def _of_the_solver(cls, value: Any, info: ValidationInfo) -> Any:
        """The parameters of a solver that is not there are not read: the solver is refused later, by its own code."""
        model = PARAMS.get(info.data.get("solver", ""))
        if model is None:
            return next(iter(PARAMS.values()))()
        if isinstance(value, RequestModel) and not isinstance(value, model):
            raise ValueError(f"these are no parameters of {info.data['solver']}")
        return value if isinstance(value, model) else model.model_validate(value, strict=True)


class InpaintOptions(CommonOptions):
    task: Literal["inpaint"] = "inpaint"
    mask_mode: MaskMode = "white_unknown"
    mask_threshold: Annotated[float, Number, Field(gt=0, lt=1)] = Field(
        0.5, description="at or above this (0 to 1) a mask pixel is white"
    )
    grow_mask: Annotated[int, Number, Field(ge=0, le=256)] = Field(0, description="pixels by which the hole is widened")
    noise: Noise = Field(NoiseLevel(sigma=0), description="noise in the known pixels")
    known_pixels: Literal["exact", "denoise"] = Field(
        "exact", description="`exact`: what is known comes back byte for byte; `denoise`: it is restored too"
    )


class SuperResolutionOptions(CommonOptions):
    task: Literal["super_resolution"] = "super_resolution"
    scale: Annotated[int, Number] = Field(2, description="times as wide and high: 2, 3, 4 or 8")
    kernel: ShrinkingKernel = Field(
        "bicubic",
        description="how the small picture was made from the large: `bicubic`, `box`, or a blur kernel and decimation",
    )
    noise: Noise = Field(NoiseLevel(sigma=0), description="noise in the small picture")


class DenoiseOptions(CommonOptions):
    task: Literal["denoise"] = "denoise"
    solver: Annotated[str, Field(max_length=100)] = Field(
        "score_dvi", description="`score_dvi` is for photographs; every other solver takes the noise to be white"
    )
    noise: Noise = Field(
        "auto", description="level, or `auto`: estimated; by other solvers than `score_dvi` as if it were white"
    )


class DeblurOptions(CommonOptions):
    task: Literal["deblur"] = "deblur"
    kernel: Kernel = Field(description="how the picture was blurred")
    boundary: Boundary = Field(
        "reflect", description="what lay beyond the border: the picture mirrored, mid-grey, or its other side"
    )
    noise: Noise = Field("auto", description="noise in the blurred picture, or `auto`: estimated, as if it were white")


class RestoreOptions(CommonOptions):
    task: Literal["restore"] = "restore"
    operator: AnyOperator = Field(description="how the measurement came from the picture that is sought")
    noise: Noise = Field(
        "auto",
        description="noise in the measurement, or `auto`: estimated, as if that were a picture and the noise white; "
        "give the level of what is no picture",
    )


class ApplyOptions(FormModel):
    """An operator and what it is to do with a picture."""

    task: Literal["apply"] = "apply"
    operator: AnyOperator
    direction: Literal["forward", "adjoint", "pseudoinverse"] = Field(
        "forward",
        description="`forward` measures the picture; the others take a measurement back, and need a linear operator",
    )
    noise: NoiseLevel = Field(NoiseLevel(sigma=0), description="white noise that is added")
    seed: Annotated[int, Number, Field(ge=0, lt=2**63)] = Field(0, description="of that noise")
    output: OutputOptions = OutputOptions()


SCALES = (2, 3, 4, 8)
"""Of super-resolution; others are refused as `scale_unsupported`."""


class InpaintRequest(InpaintOptions):
    image: ImageRef
    mask: ImageRef | None = Field(None, description="absent only with mask_mode `alpha_unknown`: the alpha of `image`")


class SuperResolutionRequest(SuperResolutionOptions):
    image: ImageRef


class DenoiseRequest(DenoiseOptions):
    image: ImageRef


class DeblurRequest(DeblurOptions):
    image: ImageRef


class RestoreRequest(RestoreOptions):
    measurement: ImageRef = Field(
        description="what was measured, as a picture or an `.npy` array; where the operator loses the colours, grey"
    )


class ApplyRequest(ApplyOptions):
    image: ImageRef


JobRequest = Annotated[
    InpaintRequest | SuperResolutionRequest | DenoiseRequest | DeblurRequest | RestoreRequest,
    Field(discriminator="task"),
]

OPTIONS: dict[str, type[CommonOptions]] = {
    "inpaint": InpaintOptions,
    "super_resolution": SuperResolutionOptions,
    "denoise": DenoiseOptions,
    "deblur": DeblurOptions,
    "restore": RestoreOptions,
}
REQUESTS: dict[str, type[CommonOptions]] = {
    "inpaint": InpaintRequest,
    "super_resolution": SuperResolutionRequest,
    "denoise": DenoiseRequest,
    "deblur": DeblurRequest,
    "restore": RestoreRequest,
}
PICTURES: dict[str, tuple[str, ...]] = {
    "inpaint": ("image", "mask"),
    "super_resolution": ("image",),
    "denoise": ("image",),
    "deblur": ("image",),
    "restore": ("measurement",),
    "apply": ("image",),
}
"""Fields that hold the pictures of a task; the first is what is restored."""


class RetryRequest(RequestModel):
    """Overrides of a retry; what is absent stays as it was."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    priority: Priority | None = None
    params: dict[str, Any] | None = Field(None, description="of the solver of the job")


class BatchItem(RequestModel):
    image: ImageRef = Field(description="for `restore`, the measurement")
    mask: ImageRef | None = None
    params: dict[str, Any] = Field(
        {},
        description="options of this item, over `defaults`, such as `seed` or `noise`; those of the solver are inside "
        'of them, in their own `params`: `{"seed": 7, "params": {"prior_weight": 2}}`',
    )
    client_ref: ClientRef | None = None


class BatchRequest(RequestModel):
    task: RestoringTask
    defaults: dict[str, Any] = Field(
        {}, description="options of every item, as in the task's own request, its `params` among them"
    )
    items: Annotated[list[BatchItem], Field(min_length=1)]
    priority: Priority = "normal"
