"""DAPS: Zhang et al. 2024, "Improving Diffusion Inverse Problem Solving with Decoupled Noise Annealing".

Levels are decoupled: from z at sigma a few Euler steps of the probability flow lead to a clean image x0, the posterior
given y and x0 is sampled, and the sample is noised afresh to the next level (algorithm 1, already in our frame):

    x0 = flow(z, sigma),   x ~ exp( -||y - f(x)||^2 / (2 tau^2) - ||x - x0||^2 / (2 r^2) ),   z' = x + sigma' n.

If x0 and r are mean and deviation of x given z, every z' is an exact sample of p(z' | y). So it is for a prior
N(m, c I) with one Euler step, x0 = D(z), and r^2 = sigma^2 / (1 + sigma^2 / c). The levels are EDM's with power 7.

The second step needs no denoiser. `langevin` is the paper's, x -= eta grad + sqrt(2 eta) n from x0, for any f. `exact`,
for linear operators, draws the Gaussian at once by its prox: prox(y + tau n, x0 + r n'; tau^2 / r^2).

Generalised: the paper has r = sigma, the limit of an infinite `spread` sqrt(c); and tau = 0.01 whatever the noise, here
`sigma_y` where that is larger. The learning rate is a multiple of the smallest variance 1 / (1 / tau^2 + 1 / r^2); the
paper's 1e-4, 2e-5 (brightness) and 1e-5 (blur that is not linear) are 1, 0.2 and 0.1.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from solvers.checks import check_finite
from solvers.noise import NoiseStream
from solvers.operators.base import data_gradient, is_linear
from solvers.parameters import bounded
from solvers.query import Problem, Query, Solver
from solvers.sampling import Chains, SamplerParameters

TAU_MIN = 0.01
"""Noise of an exact measurement."""
POWER = 7
DATA_STEPS = ("exact", "langevin")


@dataclass(frozen=True)
class DapsParameters(SamplerParameters):
    """Raises ValueError naming the field."""

    steps: int = bounded(50, ge=1, le=1000)
    """Levels. The paper's are 200."""
    ode_steps: int = bounded(2, ge=1, le=100)
    """Denoiser calls a level. The paper's are 5."""
    data_step: str = bounded("exact", among=DATA_STEPS)
    """How a linear measurement is sampled; one that is not linear always by `langevin`."""
    langevin_steps: int = bounded(100, ge=1, le=1000)
    """A level."""
    learning_rate: float = bounded(0.2, gt=0, le=1)
    """Of Langevin's steps, as a multiple of the smallest variance. Steep operators, f' > 3, want less."""
    spread: float = bounded(0.2, gt=0, le=1000)
    """sqrt(c), the deviation of images that r is for."""
    sigma_max: float = bounded(10.0, ge=0.01, le=157)
    sigma_min: float = bounded(0.02, ge=0.01, le=1)


def daps(problem: Problem, params: DapsParameters, noise: NoiseStream) -> Solver:
    """Sample the posterior; drive with `solvers.drive.drive` or an engine. Raises SolverDiverged."""
    chains = Chains(problem, noise, params.num_samples, params.steps * params.ode_steps)
    levels = edm_levels(params.sigma_max, params.sigma_min, params.steps)
    sampled, z = chains.start(levels[0])  # (S, C, H, W)
    draws = params.langevin_steps + 1  # steps of the noise stream for a level
    for step, sigma in enumerate(levels):
        if step:
            z = sampled + sigma * chains.normal(step * draws, sampled)
        x0 = yield from flow(chains, z, sigma, sampled, step * params.ode_steps, params)
        r = sigma / math.sqrt(1 + (sigma / params.spread) ** 2)
        sampled = data_sample(chains, x0, r, 1 + step * draws, params)
        check_finite(sampled, (step + 1) * params.ode_steps - 1, "the data step")
    return chains.solution(sampled)


def flow(
    chains: Chains, z: Tensor, sigma: float, mean: Tensor, call: int, params: DapsParameters
) -> Generator[Query, Tensor, Tensor]:
    """Euler steps of dz = (z - D) / sigma dsigma down to 0: (S, C, H, W)."""
    levels = [*edm_levels(sigma, min(sigma, params.sigma_min / 10), params.ode_steps), 0.0]
    for step, (level, following) in enumerate(pairwise(levels)):
        denoised = yield chains.query(z, level, call + step, mean)
        check_finite(denoised, call + step, "the denoised image")
        z = denoised + following / level * (z - denoised)
        mean = denoised
    return z


def data_sample(chains: Chains, x0: Tensor, r: float, draw: int, params: DapsParameters) -> Tensor:
    """A sample given the measurement and x given z ~ N(x0, r^2). (S, C, H, W). Takes the noise of `draw` and after."""
    operator, y = chains.problem.operator, chains.y
    tau = max(chains.problem.sigma_y, TAU_MIN)
    if params.data_step == "exact" and is_linear(operator):
        perturbed = x0 + r * chains.normal(draw, x0)
        return operator.prox(y + tau * chains.normal(draw + 1, y), perturbed, (tau / r) ** 2)
    step = params.learning_rate / (1 / tau**2 + 1 / r**2)
    x = x0
    for i in range(params.langevin_steps):
        slope = data_gradient(operator, x, operator.forward(x) - y) / tau**2 + (x - x0) / r**2
        x = x - step * slope + math.sqrt(2 * step) * chains.normal(draw + i, x)
    return x


def edm_levels(first: float, last: float, count: int) -> list[float]:
    """Equally spaced in sigma^(1/7) (Karras et al. 2022, eq. 5). `first` alone when only one is wanted."""
    a, b = first ** (1 / POWER), last ** (1 / POWER)
    return [(a + (b - a) * i / max(1, count - 1)) ** POWER for i in range(count)]
