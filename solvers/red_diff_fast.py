"""RED-Diff with a closed-form data step.

With the linear weight one step of RED-Diff is gradient descent on 0.5 ||H mu - y||^2 + 0.5 lambda ||mu - D||^2, D being
the denoised mu. Here that objective is solved at once by the operator's prox, with the weight that makes the fixed
point at level sigma the posterior mean under the prior blurred by sigma, rho = lambda sigma_y^2 / sigma^2, while sigma
falls geometrically. No learning rate, no optimiser state, and lambda = 1 for every operator and noise level.

The noise of the queries is cancelled in pairs: every second query uses the negated noise of the one before, and the
innovation D - mu is averaged over the two. From pair to pair the picture may be mirrored and turned for the denoiser.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.discrepancy import adapted, expected_residual, gain
from solvers.fill import filled_image
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators.base import is_linear
from solvers.operators.identity import Identity
from solvers.query import Problem, Query, Solution, Solver
from solvers.robust import SCALE_MIN, student_t_prox
from solvers.symmetry import SYMMETRIES, apply, undo

SIGMA_MAX = 0.5
"""First level where none is given."""
SIGMA_END = 0.02
"""Last level of an exact measurement; else half of its noise."""
RHO_MIN = 1e-5
"""Smallest weight of the prior in units of ||H||^2: patterns of which the measurement keeps less than 1/300 are the
prior's. An exact measurement is exact to floating point, not rounded to 8 bits: that is noise, and has to be declared.

Ten crops of 64 pixels, Gaussian blur of 1.6 pixels, PSNR in dB with 1e-3, 1e-4 and 1e-5: exact 31.8, 32.9, 34.2;
rounded to 8 bits and declared 31.1, 31.2, 31.2, but undeclared 30.6, 25.1, 15.0. Super-resolution does not mind.
"""
COARSE_RHO_MIN = 1e-3
"""The same where the operator is not linear: what clips or rounds is not exact beyond it."""
JITTER = 0.1
"""Noise added to a measurement that is denoised directly, as a fraction of its own: no two calls are the same."""

Push = Callable[[Tensor, float, float], Tensor]
"""(mu, sigma, share of the schedule that is over) to what is added to the denoised images, (N, C, H, W)."""


@dataclass(frozen=True)
class FastSettings:
    steps: int = 20
    prior_weight: float = 1.0
    """lambda."""
    sigma_max: float | None = None
    symmetry: str = "none"
    likelihood: str = "gaussian"
    degrees_of_freedom: float = 1.0
    discrepancy: str = "none"


def red_diff_fast(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """One denoiser call for each level; pure denoising is direct unless a first level is given or noise is doubted."""
    is_plain = settings.sigma_max is None and settings.likelihood == "gaussian" and settings.discrepancy == "none"
    if isinstance(problem.operator, Identity) and is_plain:
        return posterior_mean(problem, settings, noise)
    return anneal(problem, settings, noise)


def anneal(problem: Problem, settings: FastSettings, noise: NoiseStream, push: Push | None = None) -> Solver:
    """The algorithm of the module. Between calls it keeps y, mu, the innovation and the query.

    The measurement may have N rows, as `Problem` does not say: the discrepancy is that of all of them.
    """
    data = data_step(problem, settings)
    mu = filled_image(problem.operator, problem.measurement)  # (N, C, H, W)
    innovation, weight, expected = None, settings.prior_weight, expected_residual(problem)
    levels, elements = levels_of(problem, settings), SYMMETRIES[settings.symmetry]
    residual = misfit(problem, mu)
    for step, sigma in enumerate(levels):
        check_finite(residual, step, "the data residual")
        pair, sign = step // 2, 1 - 2 * (step % 2)
        element = elements[pair % len(elements)]
        query = apply(noise.normal(pair, like=mu).mul_(sign * sigma).add_(mu), element)
        level, mean = mu.new_full((len(mu),), sigma), partial(apply, mu, element)
        denoised = undo((yield Query(query, level, step, len(levels), mu[:1], residual, mean)), element)
        check_finite(denoised, step, "the denoised image")
        if innovation is None:
            innovation = denoised - mu
        else:
            innovation.add_(denoised).sub_(mu).mul_(0.5)
        del query, mean, denoised
        guess = mu + innovation
        if push is not None:
            guess += push(mu, sigma, step / len(levels))
        mu = data(guess, sigma, weight)
        del guess
        check_finite(mu, step, "the estimate")
        residual = misfit(problem, mu)
        if settings.discrepancy == "weight":
            weight = adapted(weight, residual, expected)
        elif settings.discrepancy == "stop" and 0 < expected <= residual:
            break
    return Solution(mu, residual)


def data_step(problem: Problem, settings: FastSettings) -> Callable[[Tensor, float, float], Tensor]:
    """The prox of the likelihood: (denoised image, sigma, lambda) to the next estimate."""
    y, operator, sigma_y = problem.measurement, problem.operator, problem.sigma_y
    if settings.likelihood == "student_t":
        scale, freedom = max(sigma_y, SCALE_MIN * gain(operator)), settings.degrees_of_freedom
        return lambda v, sigma, weight: student_t_prox(operator, y, v, scale, sigma, freedom, weight)
    floor = RHO_MIN * gain(operator) ** 2 if is_linear(operator) else COARSE_RHO_MIN
    return lambda v, sigma, weight: operator.prox(y, v, max(weight * (sigma_y / sigma) ** 2, floor))


def levels_of(problem: Problem, settings: FastSettings) -> list[float]:
    """From the first level to half the noise of the measurement."""
    first = settings.sigma_max or max(SIGMA_MAX, problem.sigma_y)
    return geometric_levels(first, min(first, max(SIGMA_END, problem.sigma_y / 2)), settings.steps)


def misfit(problem: Problem, mu: Tensor) -> float:
    """Root mean square of y - H(mu)."""
    return root_mean_square(problem.measurement - problem.operator.forward(mu))


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
