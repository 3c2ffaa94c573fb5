"""The loss of ScoreDVI as published (Cheng et al. 2023, Eq. 11 to 16), and the factors of its posterior.

Per pixel, channel and component, with r = (mu - y)^2 + s^2 and psi the digamma function,

    L      =  L_rec + lambda L_x + L_phi + L_z + L_omega                                                       (11)
    L_rec  = -sum_k pi_k (0.5 (psi(alpha) - ln beta) - 0.5 r alpha / beta)                                     (12)
    L_x    =  sum_k pi_k (-0.5 ln s^2 - S)                         S for E ln p_k(x), q being the posterior    (13)
    L_phi  =  sum_k pi_k KL(Gamma(alpha, beta) || Gamma(alpha0, beta0))                                        (14)
    L_z    =  sum_k pi_k (ln pi_k - psi(d_k) + psi(sum d))                                                     (15)
    L_omega = KL(Dirichlet(d) || Dirichlet(d0))                                                                (16)

each of them averaged over pixels and channels. No denoiser tells the density p_k, but its score, by Tweedie's formula:
for z = mu + s n, grad ln p_k(z) = (D_k(z) - z) / s^2, so S stands for score * z with the score held fixed. The
gradient for mu and s is right then (algorithms.md 4.4, 10.6a); the value means nothing, and the loss is not to be
watched. One correction: the published S also pushes pi by that value, towards the brighter component. Here pi is held
fixed in it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.mixture import ALPHA0, DIRICHLET0, moments

SMALLEST, LARGEST = 1e-8, 1e4
"""Limits of variances, alpha, beta and d."""


@dataclass
class Factors:
    """Of the posterior of a picture, as they come from networks: (K, C, H, W) each, any real number."""

    mean: Tensor
    log_variance: Tensor
    log_alpha: Tensor
    log_beta: Tensor
    logits: Tensor
    log_dirichlet: Tensor

    @property
    def variance(self) -> Tensor:
        """s^2."""
        return _within_limits(self.log_variance).exp()

    @property
    def alpha(self) -> Tensor:
        return _within_limits(self.log_alpha).exp()

    @property
    def beta(self) -> Tensor:
        return _within_limits(self.log_beta).exp()

    @property
    def weights(self) -> Tensor:
        """pi."""
        return self.logits.softmax(0)

    @property
    def dirichlet(self) -> Tensor:
        """d."""
        return _within_limits(self.log_dirichlet).exp()

    def moments(self) -> tuple[Tensor, Tensor]:
        """Posterior mean (18) and standard deviation, (C, H, W)."""
        return moments(self.weights, self.mean, self.variance)

    def precision(self) -> Tensor:
        """E phi, (C, H, W)."""
        return (self.weights * self.alpha / self.beta).sum(0)


def _within_limits(logarithm: Tensor) -> Tensor:
    low, high = torch.tensor([SMALLEST, LARGEST], dtype=torch.float64).log().tolist()
    return logarithm.clamp(low, high)


def samples(factors: Factors, drawn: Tensor) -> Tensor:
    """z = mu + s n for n of (M, K, C, H, W), the same shape."""
    return factors.mean + factors.variance.sqrt() * drawn


def scores(factors: Factors, at: Tensor, denoised: Tensor) -> Tensor:
    """(D(z) - z) / s^2, of the prior blurred by the posterior's own noise; all (M, K, C, H, W), without gradient."""
    return ((denoised - at) / factors.variance).detach()


def loss(factors: Factors, y: Tensor, drawn: Tensor, score: Tensor, beta0: float, prior_weight: float) -> Tensor:
    """L for y (C, H, W), drawn and score (M, K, C, H, W). It is made for its gradient."""
    weights = factors.weights
    misfit = (factors.mean - y).square() + factors.variance
    each = precision_divergence(factors.alpha, factors.beta, beta0) - fit(factors.alpha, factors.beta, misfit)
    total = (weights * (each - 0.5 * prior_weight * factors.variance.log())).sum(0)
    total = total - prior_weight * (weights.detach() * expected_log_prior(factors, drawn, score)).sum(0)
    total = total + assignment_divergence(weights, factors.dirichlet) + concentration_divergence(factors.dirichlet)
    return total.mean()


def fit(alpha: Tensor, beta: Tensor, misfit: Tensor) -> Tensor:
    """E ln N(y; x, 1 / phi) without -0.5 ln(2 pi) (12)."""
    return 0.5 * (torch.digamma(alpha) - beta.log() - misfit * alpha / beta)


def expected_log_prior(factors: Factors, drawn: Tensor, score: Tensor) -> Tensor:
    """S, (K, C, H, W): its gradient is that of E ln p_k(x), its value is not."""
    return (score * samples(factors, drawn)).mean(0)


def precision_divergence(alpha: Tensor, beta: Tensor, beta0: float) -> Tensor:
    """KL(Gamma(alpha, beta) || Gamma(alpha0, beta0)), beta a rate (14)."""
    alpha0 = torch.as_tensor(ALPHA0).to(alpha)
    shape = (alpha - alpha0) * torch.digamma(alpha) + torch.lgamma(alpha0) - torch.lgamma(alpha)
    return shape + alpha0 * (beta / beta0).log() + (beta0 - beta) * alpha / beta


def assignment_divergence(weights: Tensor, dirichlet: Tensor) -> Tensor:
    """KL(Cat(pi) || Cat(omega)) under the expectation of ln omega (15), summed over components: (C, H, W)."""
    return (weights * ((weights + 1e-8).log() - _expected_log(dirichlet))).sum(0)


def concentration_divergence(dirichlet: Tensor) -> Tensor:
    """KL(Dirichlet(d) || Dirichlet(d0, ..., d0)) (16): (C, H, W)."""
    flat = torch.full_like(dirichlet, DIRICHLET0)
    normaliser = _log_normaliser(dirichlet) - _log_normaliser(flat)
    return normaliser + ((dirichlet - flat) * _expected_log(dirichlet)).sum(0)


def _expected_log(dirichlet: Tensor) -> Tensor:
    return torch.digamma(dirichlet) - torch.digamma(dirichlet.sum(0))


def _log_normaliser(dirichlet: Tensor) -> Tensor:
    return torch.lgamma(dirichlet.sum(0)) - torch.lgamma(dirichlet).sum(0)
