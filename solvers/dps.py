"""DPS: Chung et al. 2023, "Diffusion Posterior Sampling for General Noisy Inverse Problems".

Unconditional sampling, and after each step one along the gradient of the misfit of the denoised image, through the
denoiser (algorithm 1, with zeta_i = zeta / ||y - f(x0)||). In the variance-preserving frame, s following t,

    x_s = DDIM step(x_t) - zeta / ||y - f(D)|| * grad_{x_t} ||y - f(D)||^2.

With x_t = sqrt(abar_t) z and 1 / abar = 1 + sigma^2 that is, in ours,

    z_s = D + kept / sigma_t (z - D) + fresh n - zeta sqrt((1 + sigma_s^2) (1 + sigma_t^2)) 2 J^T F^T (f(D) - y) / norm,

J being the Jacobian of D and F that of f. Two queries a step: D itself, and J^T of the gradient at D. The level of the
noise is not used: zeta is the only knob, and f may be anything that has a gradient.

Generalised: the norm is taken per sample (the published code adds up the batch) and zeta is for 1000 steps of a picture
of 3 x 256 x 256 values, as in the paper: fewer steps are longer, and the size changes nothing. There both agree. Levels
above `sigma_max` are left out, and sampling may be DDIM instead of DDPM (`eta`).
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from solvers.checks import check_finite
from solvers.noise import NoiseStream
from solvers.operators.base import AnyOperator, data_gradient, is_linear
from solvers.operators.mask import Mask
from solvers.parameters import bounded
from solvers.query import Problem, Solver
from solvers.sampling import Chains, SamplerParameters, split_level, vp_levels

PAPER_STEPS, PAPER_VALUES = 1000, 3 * 256 * 256
"""What the published zeta is for; values of a picture."""


@dataclass(frozen=True)
class DpsParameters(SamplerParameters):
    """Raises ValueError naming the field."""

    steps: int = bounded(100, ge=1, le=1000)
    """Levels; each costs a denoiser call and a vector-Jacobian product. The paper's are 1000."""
    step_size: float | None = bounded(gt=0, le=100)
    """zeta; `default_step_size` of the operator."""
    eta: float = bounded(1.0, ge=0, le=1)
    """Share of new noise in each step: 0 DDIM, 1 DDPM as in the paper."""


def dps(problem: Problem, params: DpsParameters, noise: NoiseStream) -> Solver:
    """Sample the posterior; drive with `solvers.drive.drive` or an engine. Raises SolverDiverged."""
    operator, chains = problem.operator, Chains(problem, noise, params.num_samples, 2 * params.steps)
    zeta = (params.step_size or default_step_size(operator)) * PAPER_STEPS / params.steps
    levels = [*vp_levels(params.sigma_max, params.sigma_min, params.steps), 0.0]
    estimate, x = chains.start(levels[0])  # (S, C, H, W)
    for step, (sigma, following) in enumerate(pairwise(levels)):
        denoised = yield chains.query(x, sigma, 2 * step, estimate)
        check_finite(denoised, 2 * step, "the denoised image")
        slope = misfit_slope(operator, denoised, chains.y)
        pulled = yield chains.query(x, sigma, 2 * step + 1, estimate, slope)
        check_finite(pulled, 2 * step + 1, "the vector-Jacobian product")
        kept, fresh = split_level(sigma, following, params.eta)
        x = denoised + kept / sigma * (x - denoised) + fresh * chains.normal(step + 1, x)
        x = x - zeta * math.sqrt((1 + following**2) * (1 + sigma**2)) * pulled
        estimate = denoised
    return chains.solution(x)


def misfit_slope(operator: AnyOperator, x: Tensor, y: Tensor) -> Tensor:
    """grad ||y - f(x)||^2 / ||y - f(x)||, the norm of each row scaled to the paper's size. (N, C, H, W)."""
    residual = operator.forward(x) - y
    norm = residual.flatten(1).norm(dim=1) * math.sqrt(PAPER_VALUES / x[0].numel())  # (N,)
    norm = norm.clamp(min=torch.finfo(x.dtype).tiny).reshape(-1, 1, 1, 1)
    return 2 * data_gradient(operator, x, residual) / norm


def default_step_size(operator: AnyOperator) -> float:
    """The published zeta of inpainting, of super-resolution, and, where f is not linear, of brightness."""
    if not is_linear(operator):
        return 0.1
    return 0.5 if isinstance(operator, Mask) else 1.0
