"""DiffPIR: Zhu et al. 2023, "Denoising Diffusion Models for Plug-and-Play Image Restoration".

At every level the denoised image is brought to the measurement by the operator's prox, and noised again to the next
level with the noise that it implies, a share zeta of it drawn anew (algorithm 1):

    x0  = prox(y, D(z, sigma_t); rho_t),   rho_t = lambda sigma_y^2 / sigma_t^2
    z_s = x0 + sigma_s ( sqrt(1 - zeta) (z - x0) / sigma_t + sqrt(zeta) n ).

The paper's x_t is sqrt(abar_t) z, its sigma_bar_t our level; nothing else changes. Levels are equally spaced in the
square of its time, and an exact measurement is treated as one with a little noise. The picture is the last x0.

Defaults were chosen on crops of training photographs with the bundled prior; they begin lower and trust the prior more.
To begin low, holes have to be filled first, and smoothly. In 20 calls, PSNR in dB from level 10 and an empty hole /
from 0.5 and a filled one, exact and at noise 0.05 of [0, 1], five crops of 64 pixels: half of the pixels missing 24.9 /
28.7 and 23.5 / 26.2, a box 30.5 / 31.3 and 25.5 / 27.5; six crops, exact: x4 24.0 / 24.7, Gaussian blur 30.6 / 30.2.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

from solvers.checks import check_finite
from solvers.fill import filled_image
from solvers.noise import NoiseStream
from solvers.parameters import bounded
from solvers.query import Problem, Solver
from solvers.sampling import Chains, SamplerParameters, vp_levels

SIGMA_Y_MIN = 0.002
"""Noise of an exact measurement, a quarter of a grey value of 255."""


@dataclass(frozen=True)
class DiffpirParameters(SamplerParameters):
    """Raises ValueError naming the field."""

    steps: int = bounded(40, ge=1, le=1000)
    """Denoiser calls, one a level."""
    prior_weight: float = bounded(4.0, gt=0, le=100)
    """lambda. The published settings are around 1."""
    renoise: float = bounded(1.0, ge=0, le=1)
    """zeta, the share of new noise. Published are 1 for inpainting, 0.25 for super-resolution, 0.1 for deblurring."""
    sigma_max: float = bounded(0.5, ge=0.01, le=157)


def diffpir(problem: Problem, params: DiffpirParameters, noise: NoiseStream) -> Solver:
    """Restore with one denoiser call a level; drive with `solvers.drive.drive` or an engine. Raises SolverDiverged."""
    operator, chains = problem.operator, Chains(problem, noise, params.num_samples, params.steps)
    sigma_y = max(problem.sigma_y, SIGMA_Y_MIN)
    levels = [*vp_levels(params.sigma_max, params.sigma_min, params.steps, power=2), 0.0]
    restored = filled_image(operator, chains.y)  # (S, C, H, W)
    check_finite(restored, 0, "the start")
    x = restored + levels[0] * chains.normal(0, restored)
    for step, (sigma, following) in enumerate(pairwise(levels)):
        denoised = yield chains.query(x, sigma, step, restored)
        check_finite(denoised, step, "the denoised image")
        restored = operator.prox(chains.y, denoised, params.prior_weight * (sigma_y / sigma) ** 2)
        check_finite(restored, step, "the data step")
        implied = (x - restored) / sigma
        fresh = chains.normal(step + 1, x)
        x = restored + following * (math.sqrt(1 - params.renoise) * implied + math.sqrt(params.renoise) * fresh)
    return chains.solution(restored)
