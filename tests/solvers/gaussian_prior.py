"""Small problems whose posterior is known, dense and in float64, and the papers' frame to compare with."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior
from solvers.drive import Denoise, answer, converse
from solvers.noise import NoiseStream
from solvers.operators import Downsample, Identity, Mask, Operator
from solvers.query import Query, Solution, Solver
from solvers.sampling import split_level, vp_levels

SMALL: dict[str, Operator] = {
    "identity": Identity((1, 4, 4)),
    "mask": Mask(torch.rand(4, 4, generator=torch.Generator().manual_seed(0)) < 0.5, 1),
    "box": Downsample((1, 4, 4), 2, "box"),
    "bicubic": Downsample((1, 4, 4), 2, "bicubic"),
}


def gaussian(variance: float = 0.25, correlation: float = 0.9, mean: float = 0.3) -> DenseGaussianPrior:
    """variance * correlation^distance over 4 x 4 pixels, with a mean that is a ramp from -mean to mean."""
    at = torch.cartesian_prod(torch.arange(4), torch.arange(4)).double()
    covariance = variance * correlation ** torch.cdist(at, at) if correlation else variance * torch.eye(16).double()
    return DenseGaussianPrior(torch.linspace(-mean, mean, 16, dtype=torch.float64), covariance)


def covariance_of(prior: DenseGaussianPrior) -> Tensor:
    return prior.basis @ torch.diag(prior.variances) @ prior.basis.T


def jacobian(prior: DenseGaussianPrior, sigma: float) -> Tensor:
    """Of the denoiser at any point: C (C + sigma^2)^-1."""
    return prior.basis @ torch.diag(prior.variances / (prior.variances + sigma**2)) @ prior.basis.T


def matrix_of(operator: Operator) -> Tensor:
    """H, (m, n)."""
    basis = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    return operator.forward(basis).reshape(16, -1).T


def posterior(operator: Operator, y: Tensor, sigma_y: float, prior: DenseGaussianPrior) -> tuple[Tensor, Tensor]:
    """Mean (n,) and covariance (n, n) of x given y, (1, C, h, w)."""
    h, precision = matrix_of(operator), torch.linalg.inv(covariance_of(prior))
    covariance = torch.linalg.inv(h.T @ h / sigma_y**2 + precision)
    return covariance @ (h.T @ y.flatten() / sigma_y**2 + precision @ prior.mean), covariance


def ancestral_moments(steps: int, eta: float, mean: float, variance: float) -> tuple[float, float]:
    """Mean and variance of samples of N(mean, variance) by `steps` levels from 80 to 0.01, from a start around 0."""
    levels = [*vp_levels(80, 0.01, steps), 0.0]
    centre, spread = 0.0, levels[0] ** 2
    for sigma, following in pairwise(levels):
        kept, fresh = split_level(sigma, following, eta)
        gain = variance / (variance + sigma**2)
        factor = gain + (1 - gain) * kept / sigma
        centre, spread = mean + factor * (centre - mean), factor**2 * spread + fresh**2
    return centre, spread


class Recorder:
    """A denoiser that drives a solver and keeps what was asked and answered."""

    def __init__(self, denoise: Denoise):
        self.denoise = denoise
        self.asked: list[Query] = []
        self.answers: list[Tensor] = []

    def drive(self, solver: Solver) -> Solution:
        return converse(solver, self._reply)

    def _reply(self, query: Query) -> Tensor:
        self.asked.append(query)
        self.answers.append(answer(query, self.denoise))
        return self.answers[-1]


@dataclass
class VpFrame:
    """DDIM as the papers write it, on x_t = sqrt(abar_t) z with abar = 1 / (1 + sigma^2); 1 is the clean image."""

    denoise: Denoise
    noise: NoiseStream
    eta: float

    def predict(self, x_t: Tensor, abar: float) -> tuple[Tensor, Tensor]:
        """x0 and eps."""
        sigma = ((1 - abar) / abar) ** 0.5
        x0 = self.denoise(x_t / abar**0.5, torch.full((len(x_t),), sigma, dtype=x_t.dtype))
        return x0, (x_t - abar**0.5 * x0) / (1 - abar) ** 0.5

    def step(self, x0: Tensor, eps: Tensor, abar_t: float, abar_s: float, draw: int) -> Tensor:
        """algorithms.md, section 2."""
        c1 = self.eta * ((1 - abar_t / abar_s) * (1 - abar_s) / (1 - abar_t)) ** 0.5
        c2 = (1 - abar_s - c1**2) ** 0.5
        return abar_s**0.5 * x0 + c1 * self.noise.normal(draw, x0) + c2 * eps
