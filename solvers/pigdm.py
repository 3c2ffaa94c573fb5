"""PiGDM: Song et al. 2023, "Pseudoinverse-Guided Diffusion Models for Inverse Problems".

p(x | z) is taken to be N(D, r^2 I) with r^2 = sigma^2 / (1 + sigma^2), exact for a prior N(m, I). The score of a linear
Gaussian measurement is then (eq. 7)

    grad_z log p(y | z) = J^T H^T (r^2 H H^T + sigma_y^2)^-1 (y - H D) = g / r^2,
    g = J^T H^T (H H^T + sigma_y^2 / r^2)^-1 (y - H D) = J^T (prox(y, D; sigma_y^2 / r^2) - D),

J being the Jacobian of D; for sigma_y = 0 the bracket is H^+ (y - H D). So g needs one vector-Jacobian product and the
operator's prox, and no matrix. A step of DDIM is followed by one along g, in the variance-preserving frame
sqrt(abar_s abar_t) w g with J with respect to x_t = sqrt(abar_t) z. That leaves no abar in ours:

    z_s = D + kept / sigma_t (z - D) + fresh n + w g.

Generalised: for an operator that is not linear the bracket is the same difference of its prox and D, in place of the
paper's ad-hoc inverses. Levels above `sigma_max` are left out.
"""

from dataclasses import dataclass
from itertools import pairwise

from solvers.checks import check_finite
from solvers.noise import NoiseStream
from solvers.parameters import bounded
from solvers.query import Problem, Solver
from solvers.sampling import Chains, SamplerParameters, consistent, split_level, vp_levels


@dataclass(frozen=True)
class PigdmParameters(SamplerParameters):
    """Raises ValueError naming the field."""

    steps: int = bounded(100, ge=1, le=1000)
    """Levels; each costs a denoiser call and a vector-Jacobian product."""
    guidance: float = bounded(1.0, gt=0, le=100)
    """w."""
    eta: float = bounded(1.0, ge=0, le=1)
    """Share of new noise in each step: 0 DDIM, 1 DDPM as in the paper."""


def pigdm(problem: Problem, params: PigdmParameters, noise: NoiseStream) -> Solver:
    """Sample the posterior; drive with `solvers.drive.drive` or an engine. Raises SolverDiverged."""
    operator, chains = problem.operator, Chains(problem, noise, params.num_samples, 2 * params.steps)
    levels = [*vp_levels(params.sigma_max, params.sigma_min, params.steps), 0.0]
    estimate, x = chains.start(levels[0])  # (S, C, H, W)
    for step, (sigma, following) in enumerate(pairwise(levels)):
        denoised = yield chains.query(x, sigma, 2 * step, estimate)
        check_finite(denoised, 2 * step, "the denoised image")
        rho = problem.sigma_y**2 * (1 + sigma**2) / sigma**2  # sigma_y^2 / r^2
        correction = consistent(operator, chains.y, denoised, rho) - denoised
        check_finite(correction, 2 * step, "the data step")
        guide = yield chains.query(x, sigma, 2 * step + 1, estimate, correction)
        check_finite(guide, 2 * step + 1, "the vector-Jacobian product")
        kept, fresh = split_level(sigma, following, params.eta)
        x = denoised + kept / sigma * (x - denoised) + fresh * chains.normal(step + 1, x)
        x = x + params.guidance * guide
        estimate = denoised
    return chains.solution(x)
