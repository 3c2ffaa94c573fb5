"""The factors of ScoreDVI that have a closed form: precisions, and the weights of the components.

Everything is per pixel, per channel and per component (algorithms.md 4.1, 10.6):

    y | z, x, phi  :  prod_k N(y; x_k, 1 / phi_k)^z_k        phi_k  :  Gamma(alpha0, beta0), beta0 a rate
    z              :  Categorical(omega)                     omega  :  Dirichlet(1, ..., 1)

With phi integrated out the noise is Student-t of 2 alpha0 degrees of freedom and scale sqrt(beta0 / alpha0). beta0 goes
with the square of the pixels' scale: on [-1, 1] it is four times what it is on [0, 1], and alpha0 the same.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

ALPHA0 = 1.0
ALPHA = ALPHA0 + 0.5
"""Of every q(phi)."""
DIRICHLET0 = 1.0


def rate(beta0: float, misfit: Tensor) -> Tensor:
    """beta of q(phi) = Gamma(ALPHA, beta), for the misfit (mu - y)^2 + s^2. Its mean ALPHA / beta has a limit."""
    return beta0 + 0.5 * misfit


def evidence(beta0: float, beta: Tensor) -> Tensor:
    """E ln N(y; x, 1 / phi) - KL(q(phi) || p(phi)) at the best q(phi), without the constant -0.5 ln(2 pi)."""
    constant = math.lgamma(ALPHA) - math.lgamma(ALPHA0) + ALPHA0 * math.log(beta0)
    return constant - ALPHA * beta.log()


def responsibilities(
    evidences: Tensor, variances: Tensor, prior_weight: float, dirichlet: Tensor, log_priors: Tensor | float = 0.0
) -> Tensor:
    """pi, all (K, ...), in proportion to exp(evidence + lambda (0.5 ln s^2 + S) + digamma(d)).

    log_priors: S = E ln p_k(x_k), where it is known; no denoiser tells it.
    """
    score = evidences + prior_weight * (0.5 * variances.log() + log_priors)
    return (score + torch.digamma(dirichlet)).softmax(0)


def concentrations(weights: Tensor) -> Tensor:
    """d of q(omega) = Dirichlet(d), for the responsibilities pi (K, ...)."""
    return DIRICHLET0 + weights


def moments(weights: Tensor, means: Sequence[Tensor], variances: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of sum_k pi_k N(mu_k, s_k^2), of K tensors each."""
    mean = sum(weight * mu for weight, mu in zip(weights, means, strict=True))
    spread = sum(
        weight * (variance + (mu - mean).square())
        for weight, mu, variance in zip(weights, means, variances, strict=True)
    )
    return mean, spread.sqrt()
