"""RED-Diff as published: Adam on one timestep after the other, in per-pixel units.

mu starts at H^+ y. For each timestep t with sigma = sqrt(1 - abar_t) / sqrt(abar_t) and fresh noise eps,

    x_hat   = D(mu + sigma eps, sigma)
    eps_hat = (mu + sigma eps - x_hat) / sigma,   so   eps_hat - eps = (mu - x_hat) / sigma
    g       = H^T (H mu - y) + lambda w(sigma) (eps_hat - eps)
    mu      = Adam(mu, g; beta = (0.9, 0.99), eps')

The network sees mu + sigma eps, the published x_t divided by sqrt(abar_t), as `priors.base` wants it. The measurement's
noise level is not used: lambda is the only knob. What is returned is mu BEFORE the last Adam step, as in the paper's
code, so the last denoiser call has no effect on the picture.

Per-pixel units: the published code averages the data term over the B m measured values and the prior term over the B n
pixels, so its lambda and Adam's eps change meaning with the operator and the batch. `per_pixel_weight` converts its
lambda; its eps = 1e-8 corresponds to eps' = 1e-8 B n here, and 0.02 is a batch of ten 256 px images.
"""

from dataclasses import dataclass

import torch

from solvers.checks import check_finite, root_mean_square
from solvers.levels import timesteps, vp_sigmas, weight
from solvers.noise import NoiseStream
from solvers.query import Problem, Query, Solution, Solver

ADAM_BETAS = (0.9, 0.99)
ADAM_EPS = 0.02
"""In per-pixel units; see above."""
ORDER_DRAW = 1
"""Draw number of the noise stream that shuffles the timesteps; the noise itself is draw 0."""


@dataclass(frozen=True)
class PaperSettings:
    steps: int = 100
    prior_weight: float = 0.25
    """lambda in per-pixel units."""
    weighting: str = "linear"
    order: str = "descending"
    learning_rate: float = 0.1


def per_pixel_weight(published: float, measured: int, pixels: int, data_weight: float = 1.0) -> float:
    """lambda in per-pixel units from the published `grad_term_weight`, m, n and `obs_weight`: lambda (m / n) / v."""
    return published * measured / pixels / data_weight


def red_diff_paper(problem: Problem, settings: PaperSettings, noise: NoiseStream) -> Solver:
    y, operator = problem.measurement, problem.operator
    mu = operator.pseudoinverse(y).clone()  # (N, C, H, W)
    # Element by element, hence per sample whatever the batch.
    adam = torch.optim.Adam([mu], settings.learning_rate, ADAM_BETAS, ADAM_EPS, foreach=False)
    visited = timesteps(settings.steps, settings.order, noise.generator(0, ORDER_DRAW))
    sigmas = vp_sigmas()
    for step, t in enumerate(visited):
        sigma = float(sigmas[t])
        residual = operator.forward(mu) - y
        rms = root_mean_square(residual)
        check_finite(rms, step, "data_residual")
        query = noise.normal(step, like=mu).mul_(sigma).add_(mu)
        denoised = yield Query(query, mu.new_full((len(mu),), sigma), step, len(visited), mu, rms)
        del query
        check_finite(denoised, step, "the denoised image")
        if step == len(visited) - 1:
            return Solution(mu, rms)
        # lambda w(sigma) (eps_hat - eps)
        mu.grad = (mu - denoised).mul_(settings.prior_weight * weight(settings.weighting, sigma) / sigma)
        mu.grad.add_(operator.adjoint(residual))
        adam.step()
        check_finite(mu, step, "the estimate")
