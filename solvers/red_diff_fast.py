"""RED-Diff with a closed-form data step.

With the linear weight one step of RED-Diff is gradient descent on 0.5 ||H mu - y||^2 + 0.5 lambda ||mu - D||^2, D being
the denoised mu. Here that objective is solved at once by the operator's prox, with the weight that makes the fixed
point at level sigma the posterior mean under the prior blurred by sigma, rho = lambda sigma_y^2 / sigma^2, while sigma
falls geometrically. No learning rate, no optimiser state, and lambda = 1 for every operator and noise level.

The noise of the queries is cancelled in pairs: every second query uses the negated noise of the one before, and the
innovation D - mu is averaged over the two.
"""

from dataclasses import dataclass

from solvers.checks import check_finite, root_mean_square
from solvers.fill import pull_push
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators.mask import Mask
from solvers.query import Problem, Query, Solution, Solver

SIGMA_END = 0.02
"""Last level of an exact measurement."""
RHO_MIN = 1e-3
"""Smallest weight of the prior: an exact measurement is met to about this fraction of the denoiser's step."""


@dataclass(frozen=True)
class FastSettings:
    steps: int = 20
    prior_weight: float = 1.0
    """lambda."""
    sigma_max: float = 1.0
    """First level."""


def red_diff_fast(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """One denoiser call for each level. Full-size tensors alive between calls: y, mu and the innovation."""
    y, operator, sigma_y = problem.measurement, problem.operator, problem.sigma_y
    mu = initial_estimate(problem)  # (N, C, H, W)
    innovation = None
    last = min(settings.sigma_max, max(SIGMA_END, sigma_y / 2))
    levels = geometric_levels(settings.sigma_max, last, settings.steps)
    for step, sigma in enumerate(levels):
        residual = root_mean_square(y - operator.forward(mu))
        check_finite(residual, step, "data_residual")
        sign = 1 if step % 2 == 0 else -1
        query = noise.normal(step // 2, like=mu).mul_(sign * sigma).add_(mu)
        denoised = yield Query(query, mu.new_full((len(mu),), sigma), step, len(levels), mu, residual)
        del query
        check_finite(denoised.sum(), step, "the denoised image")
        if innovation is None:
            innovation = denoised - mu
        else:
            innovation.add_(denoised).sub_(mu).mul_(0.5)
        rho = max(settings.prior_weight * (sigma_y / sigma) ** 2, RHO_MIN)
        mu = operator.prox(y, mu + innovation, rho)
        check_finite(mu.sum(), step, "the estimate")
    return Solution(mu, root_mean_square(y - operator.forward(mu)))


def initial_estimate(problem: Problem):
    """H^+ y, and a smooth fill of the holes of a mask."""
    start = problem.operator.pseudoinverse(problem.measurement)
    if isinstance(problem.operator, Mask):
        observed = problem.operator.observed.to(start)[None, None]
        return pull_push(start, observed)
    return start.clone()
