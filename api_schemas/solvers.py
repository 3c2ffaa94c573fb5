"""Parameters of the solvers, as a client sends them.

Defaults and bounds repeat the dataclasses in `solvers/`, so that a client needs no torch; a test compares the two.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from api_schemas.base import RequestModel
from api_schemas.samplers import DapsParams, DdnmParams, DiffpirParams, DpsParams, PigdmParams
from api_schemas.score_dvi import ScoreDviParams, Symmetry

Weighting = Literal["linear", "sqrt", "square", "log", "trunc_linear", "power2over3", "const"]
TimestepOrder = Literal["descending", "ascending", "random"]
Likelihood = Literal["gaussian", "student_t"]
Discrepancy = Literal["none", "weight", "stop"]
Ending = Literal["published", "noise"]
Variance = Literal["fixed", "learnt"]

FAST_FIELDS = ("sigma_max", "symmetry", "likelihood", "degrees_of_freedom", "discrepancy")
PARTICLE_FIELDS = ("particles", "repulsion")
PAPER_FIELDS = (
    "weighting",
    "order",
    "parallel",
    "learning_rate",
    "adam_eps",
    "ending",
    "posterior_std",
    "variance",
)
MODE_FIELDS: dict[str, tuple[str, ...]] = {
    "fast": FAST_FIELDS,
    "particles": FAST_FIELDS + PARTICLE_FIELDS,
    "paper": PAPER_FIELDS,
}
"""What each mode of RED-Diff has beside `steps` and `prior_weight`."""


class RedDiffParams(RequestModel):
    """RED-Diff (Mardani et al. 2023), variational restoration with a denoiser as regulariser.

    `fast` takes a closed-form data step and few denoiser calls; `particles` does so with several restorations that keep
    away from each other; `paper` is the published algorithm with Adam. Fields of another mode are errors. What is
    absent in `fast` and `particles` is set by `preset`; see `/v1/solvers`.
    """

    mode: Literal["fast", "particles", "paper"] = Field(
        "fast",
        description="`fast`: closed-form data step; `particles`: several different restorations, each at the cost of "
        "`fast`; `paper`: Adam",
    )
    steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Denoiser calls: of the preset, 100 for `paper` where absent"
    )
    prior_weight: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None,
        description="lambda, weight of the prior in per-pixel units: of the task, or 0.25 for `paper`, where absent",
    )
    sigma_max: Annotated[float, Field(ge=0.001, le=80)] | None = Field(
        None, description="`fast`, `particles`: first noise level on the [-1, 1] scale; of the task where absent"
    )
    symmetry: Symmetry | None = Field(
        None,
        description="`fast`, `particles`: mirror (left and right) or also turn the picture between denoiser calls, "
        "which averages out errors of the network; only for a prior that was trained on such pictures; of the prior "
        "where absent",
    )
    likelihood: Likelihood | None = Field(
        None,
        description="`fast`, `particles`: of the noise; `gaussian` where absent. `student_t` doubts values that fit "
        "badly: dead pixels, impulses, scratches that no mask marks",
    )
    degrees_of_freedom: Annotated[float, Field(ge=0.5, le=1000)] | None = Field(
        None, description="of `student_t`: the fewer, the more outliers are expected; 1 where absent"
    )
    discrepancy: Discrepancy | None = Field(
        None,
        description="`fast`, `particles`: what is done where what is left of the measurement is not its noise; `none` "
        "where absent. `weight` adapts the weight of the prior, `stop` ends before it smooths more. Both need a noise "
        "level that is right",
    )
    particles: Annotated[int, Field(ge=2, le=16)] | None = Field(
        None, description="`particles`: how many restorations; 4 where absent"
    )
    repulsion: Annotated[float, Field(ge=0, le=100)] | None = Field(
        None, description="`particles`: how hard they push each other away; 0.5 where absent"
    )
    weighting: Weighting | None = Field(None, description="`paper`: w(sigma); `linear` where absent")
    order: TimestepOrder | None = Field(None, description="`paper`: order of the timesteps; `descending` where absent")
    parallel: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="`paper`: timesteps that are averaged in each update; 1 where absent"
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = Field(
        None, description="`paper`: step size of Adam; 0.1 where absent"
    )
    adam_eps: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="`paper`: epsilon of Adam in per-pixel units; 0.02 where absent"
    )
    ending: Ending | None = Field(
        None,
        description="`paper`: `published` where absent; `noise` stays at the level where the prior has the right "
        "strength for the noise, the step size falling to zero",
    )
    posterior_std: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="`paper`: standard deviation of the approximate posterior on the [-1, 1] scale; 0 where absent, "
        "or 0.1 to begin with where it is learnt",
    )
    variance: Variance | None = Field(
        None, description="`paper`: whether that standard deviation is `fixed` or `learnt`; `fixed` where absent"
    )

    @field_validator(*PARTICLE_FIELDS, *FAST_FIELDS, *PAPER_FIELDS)
    @classmethod
    def _of_the_mode(cls, value: Any, info: ValidationInfo) -> Any:
        mode = info.data.get("mode")
        if value is not None and mode is not None and info.field_name not in MODE_FIELDS[mode]:
            raise ValueError(f"mode `{mode}` has no parameter {info.field_name}")
        return value

    @field_validator("degrees_of_freedom")
    @classmethod
    def _of_the_likelihood(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("likelihood") != "student_t":
            raise ValueError("only likelihood `student_t` has degrees of freedom")
        return value


SolverName = Literal["red_diff", "score_dvi", "dps", "pigdm", "ddnm", "diffpir", "daps"]
SolverParams = RedDiffParams | ScoreDviParams | DpsParams | PigdmParams | DdnmParams | DiffpirParams | DapsParams
PARAMS: dict[str, type[RequestModel]] = {
    "red_diff": RedDiffParams,
    "score_dvi": ScoreDviParams,
    "dps": DpsParams,
    "pigdm": PigdmParams,
    "ddnm": DdnmParams,
    "diffpir": DiffpirParams,
    "daps": DapsParams,
}
"""Of each solver."""
Preset = Literal["fast", "balanced", "quality"]
_STEPS: dict[str, tuple[int, int, int]] = {
    "inpaint": (20, 40, 80),
    "super_resolution": (20, 40, 80),
    "denoise": (8, 16, 32),
    "deblur": (20, 40, 80),
    "restore": (20, 40, 80),
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    task: {name: {"mode": "fast", "steps": count} for name, count in zip(get_args(Preset), counts, strict=True)}
    for task, counts in _STEPS.items()
}
"""What each preset sets in `params`, by task. `solvers.presets` adds `sigma_max` and `prior_weight`, the prior its
`symmetries`."""
