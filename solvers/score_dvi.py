"""ScoreDVI: blind denoising of one photograph, after Cheng et al. 2023, "Score Priors Guided Deep Variational Inference
for Unsupervised Real-World Single Image Denoising".

The likelihood is a mixture of Gaussians whose precisions are unknown pixel by pixel, so that the noise may depend on
the brightness and have outliers; each component has a denoiser for its prior. What the paper picks for a data set,
beta0 and lambda, follows here from the level and the correlation of the noise as they are found in the picture.
"""

import dataclasses
import math
from dataclasses import dataclass

from solvers.diffusion_vi import DiffusionSettings, diffusion_vi
from solvers.noise import NoiseStream
from solvers.noise_reading import Noise, read_noise
from solvers.noise_weights import Reading
from solvers.operators.identity import Identity
from solvers.parameters import bounded, check_fields, check_mode
from solvers.photograph import doubted, photograph_mean
from solvers.query import Problem, Solution, Solver, after
from solvers.score_dvi_fast import FastSettings, posterior_mean
from solvers.score_dvi_paper import PaperSettings, score_dvi_paper
from solvers.symmetry import SYMMETRIES
from solvers.weak_texture import weak_texture_sigma

Settings = FastSettings | PaperSettings | DiffusionSettings

KAPPA = 1.4
"""beta0 / (sigma^2 b8): a likelihood that takes pixels for independent counts correlated data b8 times over.

Of 1, 1.4, 2 and 2.8 the best on training photographs through simulated cameras, however the noise is read."""
WEIGHTS = ((18, 1.0), (35, 2.0))
"""lambda by sigma on [0, 255], constant beyond on either side. The paper's two larger values: less than 1 for weak
noise was behind on training photographs that were enlarged and then taken by simulated cameras."""
WHITE_SWEEPS = 4
"""Eight passes, two under each of four symmetries."""
DIFFUSION_KAPPA = 1.0
"""The same in mode `diffusion`: of 0.1, 0.3, 1, 3 and 10 the best on a training photograph through each simulated
camera, 0.7 dB in the mean over the published 0.01 with a diffusion prior, and 5 dB for strong noise."""
PAPER_KAPPA = 0.75
"""The same of the paper's networks. Its beta0 for three data sets are those of 0.64, 1.10 and 1.62 with noise as
`estimate_camera_noise` finds it; what is put right in that is 1.3 times as much energy on CC and on SIDD."""
PAPER_WEIGHTS = ((10, 0.5), (25, 1.0))
"""lambda of the paper up to these levels, of whole numbers on [0, 255]; 2 above."""


MODES: dict[str, type[Settings]] = {"fast": FastSettings, "paper": PaperSettings, "diffusion": DiffusionSettings}
"""What each mode has to say, with its defaults."""


@dataclass(frozen=True)
class ScoreDviParameters:
    """Parameters of all modes; None means that the noise decides, or the default of the mode. A field that the mode
    does not have is an error.

    Raises ValueError naming the field.
    """

    mode: str = bounded("fast", among=tuple(MODES))
    components: int | None = bounded(ge=1, le=8)
    """`fast`, `paper`: denoisers in the mixture; 1."""
    prior_weight: float | None = bounded(gt=0, le=100)
    """`fast`, `paper`: lambda; by the level of the noise."""
    beta0: float | None = bounded(ge=1e-12, le=100)
    """Rate of the Gamma prior of the precisions on the [-1, 1] scale, four times the paper's on [0, 1]; b0 in
    `diffusion`. By the noise. Below 10^-12 float32 does not carry what follows."""
    sweeps: int | None = bounded(ge=1, le=100)
    """`fast`: most sweeps, two denoiser passes each for every component; 12. White noise takes them all, 4 by
    default."""
    tolerance: float | None = bounded(ge=0, le=10)
    """`fast`: change of the estimate at which the sweeps end, as a fraction of the posterior's deviation; 0.1."""
    symmetry: str | None = bounded(among=tuple(SYMMETRIES))
    """`fast`: how the picture is mirrored and turned between sweeps; none."""
    iterations: int | None = bounded(ge=1, le=5000)
    """`paper`: steps of Adam, one denoiser call each for every component; 400."""
    draws: int | None = bounded(ge=1, le=64)
    """`paper`: Monte-Carlo samples of every step, the rows of its calls; 5."""
    learning_rate: float | None = bounded(gt=0, le=1)
    """`paper`: step size of Adam; 0.001."""
    steps: int | None = bounded(ge=1, le=1000)
    """`diffusion`: denoiser calls; 100."""
    temperature: float | None = bounded(ge=1e-12, le=10)
    """`diffusion`: of the likelihood, which counts 1 / temperature times; 0.2."""

    def __post_init__(self) -> None:
        check_fields(self)
        check_mode(self, MODES[self.mode])


def score_dvi(
    problem: Problem, params: ScoreDviParameters, noise: NoiseStream, reading: Reading | None = None
) -> Solver:
    """Denoise the picture of `problem`, which must have one row. Raises ValueError for other operators than Identity.

    The noise's level is problem.sigma_y, or is read where that is 0; its correlation always is, with the help of the
    denoiser where `reading` says how its answers are to be understood. A clean picture comes back as it is, and less is
    taken off where that is in doubt. In mode `fast` white noise is removed directly, all other by `photograph_mean`,
    the direct way of which is for denoisers that have a reading: to others the noise of a camera may be a picture.
    A beta0 that is given is a wish for sweeps alone, whatever was found. Metrics of the solution: `noise_sigma` on
    the [-1, 1] scale, `noise_b8`, `noise_probability`, and how many `sweeps`, `iterations` or `steps` it took.
    """
    y = problem.measurement
    if not isinstance(problem.operator, Identity) or len(y) != 1:
        raise ValueError("ScoreDVI denoises one picture at a time")
    asks = problem.sigma_y == 0 or params.beta0 is None
    found = yield from read_noise(problem, reading if asks else None)
    if params.beta0 is not None:
        found = dataclasses.replace(found, white=False, probability=1.0)
    metrics = {"noise_sigma": found.sigma, "noise_b8": found.b8, "noise_probability": found.probability}
    chosen = settings_of(params, problem, found)
    told = {"mode": params.mode, **dataclasses.asdict(chosen)}
    if found.clean:
        return Solution(y, 0.0, metrics | {"sweeps": 0.0}, settings=told)
    match chosen:
        case PaperSettings() as settings:
            solver = score_dvi_paper(problem, settings, noise)
        case DiffusionSettings() as settings:
            solver = diffusion_vi(problem, settings, noise)
        case settings if found.white:
            solver = posterior_mean(dataclasses.replace(problem, sigma_y=found.told), settings, noise)
        case settings:
            direct = reading is not None and params.beta0 is None
            solver = photograph_mean(problem, settings, found.told if direct else 0.0, noise)
    if found.probability < 1:
        solver = doubted(solver, y, found.probability)
    solution = yield from after(found.calls, solver)
    return dataclasses.replace(
        solution,
        metrics=metrics | solution.metrics,
        noise_map=None if solution.noise_map is None else solution.noise_map / found.raised,
        settings=told,
    )


def settings_of(params: ScoreDviParameters, problem: Problem, found: Noise) -> Settings:
    """The settings of the mode; beta0 and lambda by the noise, unless they are given."""
    own = {item.name for item in dataclasses.fields(MODES[params.mode])}
    given = {name: value for name, value in vars(params).items() if name in own and value is not None}
    energy = found.told**2 * found.b8
    match params.mode:
        case "paper":
            weight = given.get("prior_weight") or published_weight(split_level(problem, found))
            return PaperSettings(**({"beta0": PAPER_KAPPA * energy, "prior_weight": weight} | given))
        case "diffusion":
            return DiffusionSettings(**({"beta0": DIFFUSION_KAPPA * energy} | given))
        case _:
            sweeps = WHITE_SWEEPS if found.white else FastSettings.sweeps
            chosen = {"beta0": KAPPA * energy, "prior_weight": prior_weight(found.told), "sweeps": sweeps}
            return FastSettings(**(chosen | given))


def split_level(problem: Problem, found: Noise) -> float:
    """On [0, 255], as the paper estimates it where it is not given; as found in a picture too small for that."""
    estimated = None if problem.sigma_y > 0 else weak_texture_sigma(problem.measurement)
    return 127.5 * (found.told if estimated is None else found.raised * estimated)


def published_weight(level: float) -> float:
    """lambda of the paper for noise of `level` on [0, 255], of which the fraction is dropped."""
    return next((weight for most, weight in PAPER_WEIGHTS if int(level) <= most), 2.0)


def prior_weight(sigma: float) -> float:
    """lambda for noise of `sigma` on the [-1, 1] scale; ln lambda is linear in ln sigma between the WEIGHTS."""
    (weak, low), (strong, high) = WEIGHTS
    share = math.log(max(sigma * 127.5, weak) / weak) / math.log(strong / weak)
    return low * (high / low) ** min(share, 1.0)
