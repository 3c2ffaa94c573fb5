"""What the service can do: priors, solvers, operators, queue, limits."""

from typing import Any, Literal

from api_schemas.base import ResponseModel


class PriorOut(ResponseModel):
    id: str
    object: Literal["prior"] = "prior"
    is_default: bool
    """Of the solvers that restore anything; see `default_of`."""
    default_of: list[str] = []
    """The solvers that take it where a request names no prior."""
    kind: Literal["pixel", "latent"] = "pixel"
    """What its network sees: the picture itself, or the latents of an autoencoder. The latter inpaints and upscales in
    mode `fast`, and its decoder's error is in every answer."""
    parameterisation: str
    channels: int
    size_multiple: int
    trained_size: int
    fully_convolutional: bool
    symmetries: Literal["none", "mirror", "dihedral"]
    """Of the pictures it was trained on; a solver averages over them unless told otherwise."""
    sigma_min: float
    sigma_max: float
    licence: str
    digest: str
    state: Literal["cold", "loading", "ready"] = "cold"
    """`ready` where a worker has it in memory: the first job of a cold one waits until it is loaded."""


class SolverOut(ResponseModel):
    name: str
    object: Literal["solver"] = "solver"
    title: str
    reference: str
    tasks: list[str]
    operators: Literal["any", "linear"] = "linear"
    """Which it takes; the kinds that are not linear are `clip`, `jpeg`, `quantise`, `gamma` and
    `phase`."""
    differentiates: bool = False
    """Whether it differentiates through the denoiser, which takes about three times the time and more memory a call."""
    hint: str = ""
    """What it is good for, and what it costs."""
    params_schema: dict[str, Any]
    presets: dict[str, dict[str, dict[str, Any]]]
    """By task and name: what the preset sets in `params`; none where a solver has one default each."""


class OperatorOut(ResponseModel):
    name: str
    object: Literal["operator"] = "operator"
    description: str
    params_schema: dict[str, Any]


class QueueOut(ResponseModel):
    queued: dict[str, int]
    """By priority."""
    running: int
    oldest_age_s: float | None = None
    workers: int


class LimitsOut(ResponseModel):
    max_file_bytes: int
    max_pixels: int
    """Of an input, and of a result."""
    max_apply_pixels: int = 0
    """Of a picture at `/v1/operators/apply`."""
    max_sample_pixels: int = 0
    """Of all samples of a job together: `num_samples`, or the members of `uncertainty`."""
    max_trained_pixels: int = 0
    """Pixels times `iterations` of `score_dvi` in mode `paper`."""
    min_side: int
    max_batch_items: int
    max_queued: int
    max_wait_s: float
    retention_s: float


class InfoOut(ResponseModel):
    name: Literal["rediffuse"] = "rediffuse"
    version: str
    tasks: list[str]
    default_prior: str
    default_denoiser: str = ""
    """What `score_dvi` takes in its place."""
    workers: int
    limits: LimitsOut
    features: dict[str, bool]


class Health(ResponseModel):
    status: Literal["ok", "ready"]


class PriorList(ResponseModel):
    data: list[PriorOut]


class SolverList(ResponseModel):
    data: list[SolverOut]


class OperatorList(ResponseModel):
    data: list[OperatorOut]
