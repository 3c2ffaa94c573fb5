"""Parameters of the solvers, as a client sends them.

Defaults and bounds repeat the dataclasses in `solvers/`, so that a client needs no torch; a test compares the two.
"""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, ValidationInfo, field_validator

from api_schemas.base import RequestModel
from api_schemas.samplers import DapsParams, DdnmParams, DiffpirParams, DpsParams, PigdmParams

Weighting = Literal["linear", "sqrt", "square", "log", "trunc_linear", "power2over3", "const"]
Symmetry = Literal["none", "mirror", "dihedral"]
TimestepOrder = Literal["descending", "ascending", "random"]


FAST_ONLY = {"sigma_max", "symmetry"}


class RedDiffParams(RequestModel):
    """RED-Diff (Mardani et al. 2023), variational restoration with a denoiser as regulariser.

    `fast` takes a closed-form data step and few denoiser calls; `paper` is the published algorithm with Adam.
    Fields of the other mode are errors. What is absent in `fast` is set by `preset`; see `/v1/solvers`.
    """

    mode: Literal["fast", "paper"] = Field("fast", description="`fast`: closed-form data step; `paper`: Adam")
    steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="Denoiser calls: of the preset for `fast`, 100 for `paper` where absent"
    )
    prior_weight: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None,
        description="lambda, weight of the prior in per-pixel units: of the task, or 0.25 for `paper`, where absent",
    )
    sigma_max: Annotated[float, Field(ge=0.001, le=80)] | None = Field(
        None, description="`fast`: first noise level on the [-1, 1] scale; chosen by the task where absent"
    )
    symmetry: Symmetry | None = Field(
        None,
        description="`fast`: mirror (left and right) or also turn the picture between denoiser calls, which averages "
        "out errors of the network; only for a prior that was trained on such pictures; of the prior where absent",
    )
    weighting: Weighting | None = Field(None, description="`paper`: w(sigma); `linear` where absent")
    order: TimestepOrder | None = Field(None, description="`paper`: order of the timesteps; `descending` where absent")
    learning_rate: Annotated[float, Field(gt=0, le=10)] | None = Field(
        None, description="`paper`: step size of Adam; 0.1 where absent"
    )

    @field_validator("sigma_max", "symmetry", "weighting", "order", "learning_rate")
    @classmethod
    def _of_the_mode(cls, value: Any, info: ValidationInfo) -> Any:
        mode = info.data.get("mode")
        if value is not None and mode is not None and (info.field_name in FAST_ONLY) != (mode == "fast"):
            raise ValueError(f"mode `{mode}` has no parameter {info.field_name}")
        return value


SolverName = Literal["red_diff", "dps", "pigdm", "ddnm", "diffpir", "daps"]
SolverParams = RedDiffParams | DpsParams | PigdmParams | DdnmParams | DiffpirParams | DapsParams
PARAMS: dict[str, type[RequestModel]] = {
    "red_diff": RedDiffParams,
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
}
PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    task: {name: {"mode": "fast", "steps": count} for name, count in zip(get_args(Preset), counts, strict=True)}
    for task, counts in _STEPS.items()
}
"""What each preset sets in `params`, by task. `solvers.presets` adds `sigma_max` and `prior_weight`, the prior its
`symmetries`."""
