"""RED-Diff with a closed-form data step.

With the linear weight one step of RED-Diff is gradient descent on 0.5 ||H mu - y||^2 + 0.5 lambda ||mu - D||^2, D being
the denoised mu. Here that objective is solved at once by the operator's prox, with the weight that makes the fixed
point at level sigma the posterior mean under the prior blurred by sigma, rho = lambda sigma_y^2 / sigma^2, while sigma
falls geometrically. No learning rate, no optimiser state, and lambda = 1 for every operator and noise level.

The noise of the queries is cancelled in pairs: every second query uses the negated noise of the one before, and the
innovation D - mu is averaged over the two. From pair to pair the picture may be mirrored and turned for the denoiser.
"""

import math
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.fill import smooth_fill
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.query import Problem, Query, Solution, Solver
from solvers.symmetry import SYMMETRIES, apply, undo

SIGMA_MAX = 0.5
"""First level where none is given."""
SIGMA_END = 0.02
"""Last level of an exact measurement; else half of its noise."""
RHO_MIN = 1e-3
"""Smallest weight of the prior: an exact measurement is met up to about this fraction of the denoiser's step."""
JITTER = 0.1
"""Noise added to a measurement that is denoised directly, as a fraction of its own: no two calls are the same."""


@dataclass(frozen=True)
class FastSettings:
    steps: int = 20
    prior_weight: float = 1.0
    """lambda."""
    sigma_max: float | None = None
    symmetry: str = "none"


def red_diff_fast(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """One denoiser call for each level; pure denoising is direct unless a first level is given."""
    if isinstance(problem.operator, Identity) and settings.sigma_max is None:
        return posterior_mean(problem, settings, noise)
    return anneal(problem, settings, noise)


def anneal(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """The algorithm of the module. Between calls it keeps y, mu, the innovation and the query."""
    y, operator, sigma_y = problem.measurement, problem.operator, problem.sigma_y
    mu = initial_estimate(problem)  # (N, C, H, W)
    innovation = None
    first = settings.sigma_max or max(SIGMA_MAX, sigma_y)
    levels = geometric_levels(first, min(first, max(SIGMA_END, sigma_y / 2)), settings.steps)
    elements = SYMMETRIES[settings.symmetry]
    for step, sigma in enumerate(levels):
        residual = root_mean_square(y - operator.forward(mu))
        check_finite(residual, step, "the data residual")
        pair, sign = step // 2, 1 - 2 * (step % 2)
        element = elements[pair % len(elements)]
        query = apply(noise.normal(pair, like=mu).mul_(sign * sigma).add_(mu), element)
        level, mean = mu.new_full((len(mu),), sigma), partial(apply, mu, element)
        denoised = undo((yield Query(query, level, step, len(levels), mu, residual, mean)), element)
        check_finite(denoised, step, "the denoised image")
        if innovation is None:
            innovation = denoised - mu
        else:
            innovation.add_(denoised).sub_(mu).mul_(0.5)
        del query, mean, denoised
        rho = max(settings.prior_weight * (sigma_y / sigma) ** 2, RHO_MIN)
        mu = operator.prox(y, mu + innovation, rho)
        check_finite(mu, step, "the estimate")
    return Solution(mu, root_mean_square(y - operator.forward(mu)))


def posterior_mean(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """White noise on the image itself: D(y, sqrt(lambda) sigma_y) is the posterior mean (Tweedie's formula).

    Nothing is left to anneal; the calls are averaged over symmetries and a little noise of alternating sign instead.
    """
    y, sigma_y = problem.measurement, problem.sigma_y * math.sqrt(settings.prior_weight)
    check_finite(y, 0, "the measurement")
    if sigma_y == 0:
        return Solution(y, 0.0)
    sigma = math.hypot(1, JITTER) * sigma_y
    elements = SYMMETRIES[settings.symmetry]
    mean, residual = y.clone(), 0.0
    for step in range(settings.steps):
        pair, sign = step // 2, 1 - 2 * (step % 2)
        element = elements[step % len(elements)]
        query = apply(noise.normal(pair, like=y).mul_(sign * JITTER * sigma_y).add_(y), element)
        denoised = undo(
            (yield Query(query, y.new_full((len(y),), sigma), step, settings.steps, mean, residual)), element
        )
        check_finite(denoised, step, "the denoised image")
        mean = mean.lerp(denoised, 1 / (step + 1))
        residual = root_mean_square(y - mean)
    return Solution(mean, residual)


def initial_estimate(problem: Problem) -> Tensor:
    """H^+ y; the holes of a mask are filled smoothly."""
    start = problem.operator.pseudoinverse(problem.measurement)
    if isinstance(problem.operator, Mask):
        return smooth_fill(start, problem.operator.observed.to(start)[None, None])
    return start.clone()
