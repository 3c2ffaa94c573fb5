"""DDNM+: Wang et al. 2023, "Zero-Shot Image Restoration Using Denoising Diffusion Null-Space Model".

The range of H^T is known from the measurement, the null space from the denoiser (eqs. 12, 13):

    x0  = D - lambda_t H^+ (H D - y),
    z_s = x0 + kept / sigma_t (z - x0) + new noise.

With x_t = sqrt(abar_t) z this is DDPM's posterior in our frame for `eta` = 1, the share of x0 in z_s being
a = 1 - kept / sigma_t; eta < 1 is DDIM's. An exact measurement has lambda = 1 and ends with H x = y.

Noise (section 3.3, DDNM+): x0 carries lambda a sigma_y / |H| of it into the range. The step has room for `fresh`, the
level of its new noise. So lambda = min(1, fresh |H| / (a sigma_y)), and along the range the new noise has only the
variance fresh^2 - (lambda a sigma_y / |H|)^2 that is left. In the last step there is no room, and x0 = D.

Equal to the paper where H H^T = |H|^2 I: masks, averages over blocks, denoising. Generalised: the paper scales each
singular vector by its own lambda; ours applies lambda through the prox, whose gain s^2 / (s^2 + rho) is lambda at
s = |H| and falls with s as the paper's does, and counts the noise as at |H|. No singular vectors, hence any operator
that has H^+ and a prox; but where a blur loses much, its H^+ makes more of the noise than is counted. So a damped H^+
(`operators.damping`) whose damping was left at its default has that of the noise here, as for white pictures of the
deviation `SPREAD`. Four crops of 64 pixels, Gaussian blur of 1.6, noise 0.01 of [0, 1], PSNR in dB at damping 0.05,
0.1, 0.2 and 0.4: 25.5, 26.0, 25.6, 24.9; noise 0.05 at 0.1, 0.3, 0.6 and 1.5: 18.8, 24.2, 23.8, 20.4; exact at 0.1,
0.01 and 0.001: 27.7, 30.0, 32.7. The rule gives 0.08, 0.4 and 0.001.
"""

import dataclasses
import math
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor

from solvers.checks import check_finite
from solvers.noise import NoiseStream
from solvers.operators.base import Operator, OperatorError, is_linear
from solvers.operators.damping import DAMPING
from solvers.parameters import bounded
from solvers.query import Problem, Solver
from solvers.sampling import Chains, SamplerParameters, consistent, split_level, vp_levels

SPREAD = 0.25
"""Of what a blur loses, on the [-1, 1] scale."""
DAMPING_MIN = 0.001
"""Of an exact measurement."""


@dataclass(frozen=True)
class DdnmParameters(SamplerParameters):
    """Raises ValueError naming the field."""

    steps: int = bounded(25, ge=1, le=1000)
    """Denoiser calls, one a level. The paper's are 100; where there is noise more of them fit more of it."""
    eta: float = bounded(1.0, ge=0, le=1)
    """Share of new noise in each step: 0 DDIM, 1 DDPM. A noisy measurement needs some: with 0 it is not used."""


def ddnm(problem: Problem, params: DdnmParameters, noise: NoiseStream) -> Solver:
    """Restore with one denoiser call a level; drive with `solvers.drive.drive` or an engine.

    Raises SolverDiverged, and OperatorError for an operator that is not linear.
    """
    if not is_linear(problem.operator):
        raise OperatorError("DDNM splits the image into the range and the null space of a linear operator")
    operator = damped(problem.operator, problem.sigma_y)
    chains = Chains(dataclasses.replace(problem, operator=operator), noise, params.num_samples, params.steps)
    levels = [*vp_levels(params.sigma_max, params.sigma_min, params.steps), 0.0]
    restored, x = chains.start(levels[0])  # (S, C, H, W)
    for step, (sigma, following) in enumerate(pairwise(levels)):
        denoised = yield chains.query(x, sigma, step, restored)
        check_finite(denoised, step, "the denoised image")
        kept, fresh = split_level(sigma, following, params.eta)
        carried = (1 - kept / sigma) * problem.sigma_y / operator.norm  # a sigma_y / |H|
        gain = min(1.0, fresh / carried) if carried else 1.0
        restored = rectified(operator, chains.y, denoised, gain)
        check_finite(restored, step, "the data step")
        left = math.sqrt(max(0.0, fresh**2 - (gain * carried) ** 2))
        new = shaped(operator, chains.normal(step + 1, x), fresh, left)
        x = restored + kept / sigma * (x - restored) + new
    return chains.solution(restored)


def damped(operator: Operator, sigma_y: float) -> Operator:
    """With the damping that `sigma_y` asks for, at most 1, if it has a damping and that is the default."""
    if getattr(operator, "damping", None) != DAMPING:
        return operator
    asked = sigma_y / (SPREAD * operator.norm)
    return dataclasses.replace(operator, damping=min(1.0, max(DAMPING_MIN, asked)))


def rectified(operator: Operator, y: Tensor, x: Tensor, gain: float) -> Tensor:
    """x - gain H^+ (H x - y), by the prox whose gain at the largest singular value is `gain`. (N, C, H, W)."""
    if gain == 0:
        return x
    return consistent(operator, y, x, operator.norm**2 * (1 / gain - 1))


def shaped(operator: Operator, n: Tensor, across: float, along: float) -> Tensor:
    """White noise of deviation `along` in the range of H^T and `across` in the null space. n: white, (N, C, H, W)."""
    if across == along:
        return across * n
    return across * n - (across - along) * operator.pseudoinverse(operator.forward(n))
