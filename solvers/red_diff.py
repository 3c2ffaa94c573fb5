"""RED-Diff, from Mardani et al. 2023, "A Variational Perspective on Solving Inverse Problems with Diffusion Models").

The posterior is approximated by a Gaussian around mu; its mean minimises the data misfit plus a denoising regulariser
whose gradient needs no derivative of the network. Two ways to descend share the parameters below: `red_diff_fast` and
`red_diff_paper`.
"""

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any

from solvers.levels import ORDERS, WEIGHTINGS
from solvers.noise import NoiseStream
from solvers.query import Problem, Solver
from solvers.red_diff_fast import FastSettings, red_diff_fast
from solvers.red_diff_paper import PaperSettings, red_diff_paper
from solvers.symmetry import SYMMETRIES


def _bounded(**bounds: Any) -> Any:
    """An optional field with its bounds: `ge`, `gt`, `le` for a number, `among` for a word."""
    return field(default=None, metadata=bounds)


@dataclass(frozen=True)
class RedDiffParameters:
    """Parameters of both modes; None means the default of the mode. A field of the other mode is an error.

    Raises ValueError naming the field. `api_schemas.solvers.RedDiffParams` says the same on the wire.
    """

    mode: str = field(default="fast", metadata={"among": ("fast", "paper")})
    steps: int | None = _bounded(ge=1, le=1000)
    """Denoiser calls: 20 for `fast`, 100 for `paper`."""
    prior_weight: float | None = _bounded(gt=0, le=100)
    """lambda in per-pixel units: 1 for `fast`, 0.25 for `paper`."""
    sigma_max: float | None = _bounded(ge=0.001, le=80)
    """`fast`: first noise level; 0.5, and for denoising the level of the measurement itself."""
    symmetry: str | None = _bounded(among=tuple(SYMMETRIES))
    """`fast`: how the picture is mirrored and turned between denoiser calls; none."""
    weighting: str | None = _bounded(among=WEIGHTINGS)
    """`paper`: w(sigma); linear."""
    order: str | None = _bounded(among=ORDERS)
    """`paper`: of the timesteps; descending."""
    learning_rate: float | None = _bounded(gt=0, le=10)
    """`paper`: step size of Adam; 0.1."""

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            value = getattr(self, item.name)
            if value is not None:
                _check(item.name, value, item.metadata)
        foreign = {"fast": ("weighting", "order", "learning_rate"), "paper": ("sigma_max", "symmetry")}[self.mode]
        for name in foreign:
            if getattr(self, name) is not None:
                raise ValueError(f"{name}: not a parameter of mode {self.mode!r}")


def _check(name: str, value: Any, bounds: Any) -> None:
    if "among" in bounds and value not in bounds["among"]:
        raise ValueError(f"{name}: {value!r} is not one of {', '.join(bounds['among'])}")
    if "gt" in bounds and not value > bounds["gt"]:  # NaN fails here too
        raise ValueError(f"{name}: {value!r} is not above {bounds['gt']}")
    if "ge" in bounds and not value >= bounds["ge"]:
        raise ValueError(f"{name}: {value!r} is below {bounds['ge']}")
    if "le" in bounds and not value <= bounds["le"]:
        raise ValueError(f"{name}: {value!r} is above {bounds['le']}")
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{name}: {value!r} is not a number")


def red_diff(problem: Problem, params: RedDiffParameters, noise: NoiseStream) -> Solver:
    """Solve `problem`; drive with `solvers.drive.drive` or an engine. Raises SolverDiverged."""
    settings = settings_of(params)
    if isinstance(settings, PaperSettings):
        return red_diff_paper(problem, settings, noise)
    return red_diff_fast(problem, settings, noise)


def settings_of(params: RedDiffParameters) -> FastSettings | PaperSettings:
    """The settings of the mode, its own defaults where `params` says None."""
    kind = PaperSettings if params.mode == "paper" else FastSettings
    given = {item.name: getattr(params, item.name) for item in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in given.items() if value is not None})
