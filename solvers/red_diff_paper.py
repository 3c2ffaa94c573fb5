"""RED-Diff as published: Adam on one timestep after the other, in per-pixel units.

mu starts at H^+ y. For each timestep t with sigma = sqrt(1 - abar_t) / sqrt(abar_t) and fresh noise n0 and eps,

    x       = mu + sigma_x0 n0                                                    sigma_x0, `posterior_std`, is mostly 0
    x_hat   = D(x + sigma eps, sigma)
    eps_hat = (x + sigma eps - x_hat) / sigma,   so   eps_hat - eps = (x - x_hat) / sigma
    g       = H^T (H x - y) + lambda w(sigma) (eps_hat - eps)
    mu      = Adam(mu, g; beta = (0.9, 0.99), eps')

The network sees x + sigma eps, the published x_t divided by sqrt(abar_t), as `priors.base` wants it. The measurement's
noise level is not used: lambda is the only knob. What is returned is x BEFORE the last Adam step, as in the paper's
code, so the last denoiser call has no effect on the picture.

Per-pixel units: the published code averages the data term over the B m measured values and the prior term over the B n
pixels, so its lambda and Adam's eps change meaning with the operator and the batch. `per_pixel_weight` and
`per_pixel_eps` convert; the published eps = 1e-8 is 0.02 here for a batch of ten 256 px images.

Off by default, since the paper's runs do without: `parallel` averages the prior term over several timesteps of one mu,
which then are the rows of one query; `variance` learns the spread of the posterior (`solvers.variance`); `ending` stays
where lambda is right for the noise of the measurement (`timesteps_of`).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.levels import TIMESTEPS, timesteps, vp_sigmas, weight
from solvers.noise import NoiseStream
from solvers.operators.base import data_gradient, first_image
from solvers.query import Problem, Query, Solution, Solver

ADAM_BETAS = (0.9, 0.99)
ADAM_EPS = 0.02
"""In per-pixel units; see above."""
PUBLISHED_EPS = 1e-8
ORDER_DRAW = 1
"""Draw number of the noise stream that shuffles the timesteps; eps is draw 0."""
POSTERIOR_DRAW = 3
"""Of n0."""
VARIANCES = ("fixed", "learnt")
ENDINGS = ("published", "noise")


@dataclass(frozen=True)
class PaperSettings:
    steps: int = 100
    prior_weight: float = 0.25
    """lambda in per-pixel units."""
    weighting: str = "linear"
    order: str = "descending"
    parallel: int = 1
    learning_rate: float = 0.1
    adam_eps: float = ADAM_EPS
    ending: str = "published"
    posterior_std: float = 0.0
    variance: str = "fixed"


def per_pixel_weight(published: float, measured: int, pixels: int, data_weight: float = 1.0) -> float:
    """lambda in per-pixel units from the published `grad_term_weight`, m, n and `obs_weight`: lambda (m / n) / v."""
    return published * measured / pixels / data_weight


def per_pixel_eps(batch: int, measured: int, data_weight: float = 1.0) -> float:
    """eps' for which Adam moves as the published one does for `batch` images of m measured values: 1e-8 B m / v."""
    return PUBLISHED_EPS * batch * measured / data_weight


def timesteps_of(problem: Problem, settings: PaperSettings, noise: NoiseStream) -> list[int]:
    """Every timestep in the order of its visit; with the ending `noise` none below that where the prior gets too weak.

    The strength of the prior, lambda sigma w(sigma), is right for the noise where it is sigma_y^2: for the linear
    weight at sigma = sigma_y / sqrt(lambda). Below, the noise of the measurement is fitted: the run stays there.
    """
    visited = timesteps(settings.steps, settings.order, noise.generator(0, ORDER_DRAW))
    if settings.ending == "published":
        return visited
    strengths = [settings.prior_weight * sigma * weight(settings.weighting, sigma) for sigma in vp_sigmas().tolist()]
    least = next((t for t, strength in enumerate(strengths) if strength >= problem.sigma_y**2), TIMESTEPS - 1)
    return [max(t, least) for t in visited]


def levels_of(problem: Problem, settings: PaperSettings, noise: NoiseStream) -> list[Tensor]:
    """The levels of each update, up to `parallel` of them: (K,) in the type and place of the measurement."""
    visited = timesteps_of(problem, settings, noise)
    return list(vp_sigmas()[visited].to(problem.measurement).split(settings.parallel))


def diffused(x: Tensor, spread: Tensor, noise: NoiseStream, first: int) -> Tensor:
    """x + spread_k eps_k for each of K spreads, (K, 1, 1, 1) or (K, N, 1, 1): (K N, C, H, W), level by level.

    eps_k is the noise of step `first` + k: each timestep meets the same, whatever is averaged.
    """
    return torch.cat([x + size * noise.normal(first + k, like=x) for k, size in enumerate(spread)])


def adam_of(settings: PaperSettings, *groups: dict) -> torch.optim.Adam:
    """Element by element, hence per sample whatever the batch. One state for the whole run."""
    return torch.optim.Adam(groups, settings.learning_rate, ADAM_BETAS, settings.adam_eps, foreach=False)


def set_learning_rate(adam: torch.optim.Adam, settings: PaperSettings, share: float) -> None:
    """Constant as published; falling to zero with the ending `noise`. share: of the updates that are done."""
    for group in adam.param_groups:
        group["lr"] = settings.learning_rate * (1 if settings.ending == "published" else 1 - share)


def red_diff_paper(problem: Problem, settings: PaperSettings, noise: NoiseStream) -> Solver:
    """The algorithm of the module; `variance` is for `solvers.variance`."""
    y, operator = problem.measurement, problem.operator
    mu = first_image(operator, y)  # (N, C, H, W)
    adam = adam_of(settings, {"params": [mu]})
    updates = levels_of(problem, settings, noise)
    for step, sigmas in enumerate(updates):
        x = mu
        if settings.posterior_std > 0:
            x = mu + settings.posterior_std * noise.normal(step, mu, POSTERIOR_DRAW)
        residual = operator.forward(x) - y
        rms = root_mean_square(residual)
        check_finite(rms, step, "data_residual")
        query = diffused(x, sigmas.reshape(-1, 1, 1, 1), noise, step * settings.parallel)
        denoised = yield Query(query, sigmas.repeat_interleave(len(x)), step, len(updates), x[:1], rms)
        del query
        check_finite(denoised, step, "the denoised image")
        if step == len(updates) - 1:
            return Solution(x, rms)
        # lambda w(sigma) (eps_hat - eps), averaged over the levels
        factors = [settings.prior_weight * weight(settings.weighting, s) / s for s in sigmas.tolist()]
        rows = zip(factors, denoised.split(len(x)), strict=True)
        mu.grad = sum((x - d).mul_(factor / len(factors)) for factor, d in rows)
        mu.grad.add_(data_gradient(operator, x, residual))
        set_learning_rate(adam, settings, step / len(updates))
        adam.step()
        check_finite(mu, step, "the estimate")
