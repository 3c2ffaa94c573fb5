"""RED-Diff with a variance: the posterior is approximated by N(mu, q^2 I), and q is learnt beside mu.

The paper states its divergence for a Gaussian of any variance and sets q = 0. With R^2 = q^2 + sigma^2, z = mu + R n
and p_sigma the prior blurred by sigma, whose score is -eps_hat / sigma,

    d/dmu KL( N(mu, R^2 I) || p_sigma ) = E[ eps_hat(z) - (sigma / R) n ] / sigma
    d/dq  KL                            = q / (sigma R) E sum_j n_j ( eps_hat(z) - (sigma / R) n )_j,

both weighted by lambda sigma w(sigma), which is lambda sigma^2 for the linear weight. The data term of q is that of
E 0.5 ||H x - y||^2, q tr(H^T H). One q for all values of a picture: how far the restoration is off in the mean.
Everything else is `solvers.red_diff_paper`, with q = 0 the same.

For a prior of variance c and tr(H^T H) / n = h the two are in balance where h R^2 (c + R^2) = lambda sigma w(sigma) c.
With the linear weight and lambda <= h no q > 0 solves that at any level: where all is measured, q falls to its least.
With the weight `const` it comes to about sqrt(lambda sigma / h).
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.levels import weight
from solvers.noise import NoiseStream
from solvers.operators.base import AnyOperator, data_gradient, first_image
from solvers.query import Problem, Query, Solution, Solver
from solvers.red_diff_paper import (
    POSTERIOR_DRAW,
    PaperSettings,
    adam_of,
    diffused,
    levels_of,
    set_learning_rate,
)

FIRST_DEVIATION = 0.1
"""q at the start where none is given."""
LEAST_DEVIATION = 1e-3
"""High levels drive q to zero, from where there is no way back for its logarithm."""


class Gradients(NamedTuple):
    mean: Tensor
    """(N, C, H, W)."""
    deviation: Tensor
    """(N, 1, 1, 1), a sum over the values of each row."""


def divergence_gradients(z: Tensor, mu: Tensor, denoised: Tensor, sigma: Tensor, q: Tensor) -> Gradients:
    """Of KL(N(mu, R^2 I) || p_sigma) by mu and q, from the one draw z. sigma, q: (N, 1, 1, 1), q > 0."""
    radius = torch.hypot(q, sigma)
    n = (z - mu) / radius
    excess = (z - denoised) / sigma - (sigma / radius) * n  # (N, C, H, W)
    by_q = q / (sigma * radius) * (n * excess).sum((1, 2, 3), keepdim=True)
    return Gradients(excess / sigma, by_q)


def data_gradient_by_deviation(operator: AnyOperator, mu: Tensor, q: Tensor, n: Tensor) -> Tensor:
    """q tr(H^T H) from one draw n of white noise, (N, 1, 1, 1); of the Jacobian at mu for one that is not linear."""
    moved = operator.forward(mu + q * n) - operator.forward(mu)
    return moved.square().sum((1, 2, 3), keepdim=True) / q


def red_diff_learnt(problem: Problem, settings: PaperSettings, noise: NoiseStream) -> Solver:
    """Adam on mu and ln q, which keeps q positive. `Solution.deviation` is q, which begins at `posterior_std`.

    ln q goes along the gradient by its square, per pixel: that keeps its size however small q has become. It is a mean
    over the values of a picture, and has no noise to be braked by `adam_eps`.
    """
    y, operator = problem.measurement, problem.operator
    mu = first_image(operator, y)  # (N, C, H, W)
    log_q = mu.new_full((len(mu), 1, 1, 1), math.log(settings.posterior_std or FIRST_DEVIATION))
    adam = adam_of(settings, {"params": [mu]}, {"params": [log_q], "eps": 1e-8})
    updates = levels_of(problem, settings, noise)
    for step, sigmas in enumerate(updates):
        q = log_q.exp()
        residual = operator.forward(mu) - y
        rms = root_mean_square(residual)
        check_finite(rms, step, "data_residual")
        spread = torch.hypot(q, sigmas.reshape(-1, 1, 1, 1, 1))  # (K, N, 1, 1, 1)
        z = diffused(mu, spread, noise, step * settings.parallel)
        denoised = yield Query(z, sigmas.repeat_interleave(len(mu)), step, len(updates), mu[:1], rms)
        check_finite(denoised, step, "the denoised image")
        if step == len(updates) - 1:
            return Solution(mu, rms, deviation=q.expand_as(mu))
        mu.grad = data_gradient(operator, mu, residual).clone()
        by_q = data_gradient_by_deviation(operator, mu, q, noise.normal(step, mu, POSTERIOR_DRAW))
        for sigma, z_k, d_k in zip(sigmas, z.split(len(mu)), denoised.split(len(mu)), strict=True):
            strength = settings.prior_weight * float(sigma) * weight(settings.weighting, float(sigma)) / len(sigmas)
            prior = divergence_gradients(z_k, mu, d_k, sigma.reshape(1, 1, 1, 1), q)
            mu.grad.add_(prior.mean, alpha=strength)
            by_q += strength * prior.deviation
        log_q.grad = by_q / (q * mu[0].numel())
        set_learning_rate(adam, settings, step / len(updates))
        adam.step()
        log_q.clamp_(min=math.log(LEAST_DEVIATION))
        check_finite(mu, step, "the estimate")
        check_finite(log_q, step, "the deviation")
