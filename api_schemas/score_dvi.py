"""Parameters of ScoreDVI, as a client sends them.

Defaults and bounds repeat the dataclass in `solvers/`, so that a client needs no torch; a test compares the two.
"""

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from api_schemas.base import RequestModel

Symmetry = Literal["none", "mirror", "dihedral"]
PriorName = Annotated[str, Field(max_length=100)]
MAX_COMPONENTS = 8
"""Denoisers in a mixture, that of the field `prior` among them."""
DRAWS, ITERATIONS = 5, 400
"""Of the mode `paper`."""

MODE_FIELDS: dict[str, tuple[str, ...]] = {
    "fast": ("components", "prior_weight", "beta0", "sweeps", "tolerance", "symmetry"),
    "paper": ("components", "prior_weight", "beta0", "iterations", "draws", "learning_rate"),
    "diffusion": ("beta0", "steps", "temperature"),
}
"""What each mode has."""


class ScoreDviParams(RequestModel):
    """ScoreDVI (Cheng et al. 2023): blind denoising of a photograph by a likelihood that finds the noise by itself.

    `fast` has every step in closed form; `paper` is the published algorithm, which trains networks for every picture;
    `diffusion` goes level by level, as DiffusionVI (Cheng and Tan 2024), with the default diffusion prior where `prior`
    is absent. Fields of another mode are errors. What is absent is set by the noise as it is found in the picture.
    White noise `fast` takes off directly: of its parameters but `sweeps` and `symmetry` count then, and of the
    denoisers the first.
    """

    mode: Literal["fast", "paper", "diffusion"] = Field(
        "fast", description="`fast`: closed form; `paper`: networks trained by Adam; `diffusion`: level by level"
    )
    components: Annotated[list[PriorName], Field(max_length=MAX_COMPONENTS - 1)] = Field(
        [],
        description="`fast`, `paper`: names of further denoisers beside `prior`, each for a component of the mixture, "
        "and each once",
    )
    prior_weight: Annotated[float, Field(gt=0, le=100)] | None = Field(
        None, description="`fast`, `paper`: lambda, weight of the prior; by the level of the noise where absent"
    )
    beta0: Annotated[float, Field(ge=1e-12, le=100)] | None = Field(
        None,
        description="rate of the Gamma prior of the precisions on the [-1, 1] scale, four times the paper's on [0, 1]; "
        "where absent, by the level of the noise and its correlation. In `fast`, where it is "
        "given, the picture is made by sweeps alone, whatever noise was found",
    )
    sweeps: Annotated[int, Field(ge=1, le=100)] | None = Field(
        None,
        description="`fast`: most sweeps of two denoiser passes each; 12 where absent, or 4 for white noise. Where the "
        "noise is correlated, two passes follow: over the picture as it came, and at a quarter of its size",
    )
    tolerance: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None,
        description="`fast`: change of the picture at which the sweeps end, as a fraction of the posterior's "
        "deviation; 0.1 where absent",
    )
    symmetry: Symmetry | None = Field(
        None,
        description="`fast`: mirror (left and right) or also turn the picture between sweeps, which averages out "
        "errors of the network; of the prior where absent",
    )
    iterations: Annotated[int, Field(ge=1, le=5000)] | None = Field(
        None, description="`paper`: steps of Adam, one denoiser call each for every component; 400 where absent"
    )
    draws: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description=f"`paper`: Monte-Carlo samples of every step; {DRAWS} where absent"
    )
    learning_rate: Annotated[float, Field(gt=0, le=1)] | None = Field(
        None, description="`paper`: step size of Adam; 0.001 where absent"
    )
    steps: Annotated[int, Field(ge=1, le=1000)] | None = Field(
        None, description="`diffusion`: denoiser calls; 100 where absent"
    )
    temperature: Annotated[float, Field(ge=1e-12, le=10)] | None = Field(
        None, description="`diffusion`: of the likelihood, which counts 1 / temperature times; 0.2 where absent"
    )

    @field_validator(*{name for names in MODE_FIELDS.values() for name in names})
    @classmethod
    def _of_the_mode(cls, value: Any, info: ValidationInfo) -> Any:
        mode = info.data.get("mode")
        if value not in (None, []) and mode is not None and info.field_name not in MODE_FIELDS[mode]:
            raise ValueError(f"mode `{mode}` has no parameter {info.field_name}")
        return value
