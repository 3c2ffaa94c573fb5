"""RED-Diff, from Mardani et al. 2023, "A Variational Perspective on Solving Inverse Problems with Diffusion Models").

The posterior is approximated by a Gaussian around mu; its mean minimises the data misfit plus a denoising regulariser
whose gradient needs no derivative of the network. The modes, ways to descend, share the parameters below: the modules
`red_diff_fast`, `red_diff_particles` and `red_diff_paper`.
"""

import dataclasses
from dataclasses import dataclass

from solvers.discrepancy import RULES
from solvers.levels import ORDERS, WEIGHTINGS
from solvers.noise import NoiseStream
from solvers.parameters import bounded, check_fields, check_mode
from solvers.query import Problem, Solver
from solvers.red_diff_fast import FastSettings, red_diff_fast
from solvers.red_diff_paper import ENDINGS, VARIANCES, PaperSettings, red_diff_paper
from solvers.red_diff_particles import ParticleSettings, red_diff_particles
from solvers.robust import LIKELIHOODS
from solvers.symmetry import SYMMETRIES
from solvers.variance import red_diff_learnt

Settings = FastSettings | ParticleSettings | PaperSettings
MODES: dict[str, type[Settings]] = {"fast": FastSettings, "particles": ParticleSettings, "paper": PaperSettings}
"""What each mode has to say, with its defaults."""


@dataclass(frozen=True)
class RedDiffParameters:
    """Parameters of all modes; None means the default of the mode. A field that the mode does not have is an error.

    Raises ValueError naming the field. `api_schemas.solvers.RedDiffParams` says the same on the wire.
    """

    mode: str = bounded("fast", among=tuple(MODES))
    steps: int | None = bounded(ge=1, le=1000)
    """Denoiser calls: 20 for `fast` and `particles`, 100 for `paper`."""
    prior_weight: float | None = bounded(gt=0, le=100)
    """lambda in per-pixel units: 1 for `fast` and `particles`, 0.25 for `paper`."""
    sigma_max: float | None = bounded(ge=0.001, le=80)
    """`fast`, `particles`: first noise level; 0.5, and for denoising by `fast` the level of the measurement itself."""
    symmetry: str | None = bounded(among=tuple(SYMMETRIES))
    """`fast`, `particles`: how the picture is mirrored and turned between denoiser calls; none."""
    likelihood: str | None = bounded(among=LIKELIHOODS)
    """`fast`, `particles`: of the measurement; gaussian. `student_t` doubts outliers."""
    degrees_of_freedom: float | None = bounded(ge=0.5, le=1000)
    """`fast`, `particles`: of `student_t`, the fewer, the more outliers are expected; 1."""
    discrepancy: str | None = bounded(among=RULES)
    """`fast`, `particles`: what is done where the residual is not the noise; none."""
    particles: int | None = bounded(ge=2, le=16)
    """`particles`: how many; 4."""
    repulsion: float | None = bounded(ge=0, le=100)
    """`particles`: gamma; 0.5."""
    weighting: str | None = bounded(among=WEIGHTINGS)
    """`paper`: w(sigma); linear."""
    order: str | None = bounded(among=ORDERS)
    """`paper`: of the timesteps; descending."""
    parallel: int | None = bounded(ge=1, le=64)
    """`paper`: timesteps that are averaged in each update; 1."""
    learning_rate: float | None = bounded(gt=0, le=10)
    """`paper`: step size of Adam; 0.1."""
    adam_eps: float | None = bounded(gt=0, le=1)
    """`paper`: eps' of Adam in per-pixel units; 0.02."""
    ending: str | None = bounded(among=ENDINGS)
    """`paper`: `published`, or `noise`: stays at sigma_y / sqrt(lambda), the learning rate falling to zero."""
    posterior_std: float | None = bounded(ge=0, le=1)
    """`paper`: sigma_x0, standard deviation of the posterior; 0, or 0.1 to begin with where it is learnt."""
    variance: str | None = bounded(among=VARIANCES)
    """`paper`: whether the posterior's standard deviation is `fixed` or `learnt`."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_mode(self, MODES[self.mode])
        if self.degrees_of_freedom is not None and self.likelihood != "student_t":
            raise ValueError("degrees_of_freedom: only of likelihood 'student_t'")


def red_diff(problem: Problem, params: RedDiffParameters, noise: NoiseStream) -> Solver:
    """Solve `problem`; drive with `solvers.drive.drive` or an engine. Raises SolverDiverged."""
    settings = settings_of(params)
    match settings:
        case ParticleSettings():
            return red_diff_particles(problem, settings, noise)
        case FastSettings():
            return red_diff_fast(problem, settings, noise)
        case PaperSettings(variance="learnt"):
            return red_diff_learnt(problem, settings, noise)
        case PaperSettings():
            return red_diff_paper(problem, settings, noise)


def settings_of(params: RedDiffParameters) -> Settings:
    """The settings of the mode, its own defaults where `params` says None."""
    kind = MODES[params.mode]
    given = {item.name: getattr(params, item.name) for item in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in given.items() if value is not None})
