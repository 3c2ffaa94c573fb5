"""Priors whose exact answers are known: Gaussians and Gaussian mixtures.

For x = clean + sigma * white noise, p_sigma = prior * N(0, sigma^2), and Tweedie's formula holds for all of them:
D(x, sigma) = E[clean | x] = x + sigma^2 * grad log p_sigma(x). They work at any size and in float32 and float64: the
dtype of the answer is the dtype of `x`. They are the fixtures of algorithms that must equal a closed form.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from priors.manifest import PriorInfo


def _level(x: Tensor, sigma: Tensor) -> Tensor:
    """`sigma` (N,) as (N, 1, 1, 1), or a map as it is, with the dtype and device of `x`."""
    return sigma.to(x).reshape(-1, 1, 1, 1) if sigma.ndim == 1 else sigma.to(x)


class GaussianPrior:
    """Every pixel independently N(mean, variance)."""

    def __init__(self, variance: float, mean: float = 0.0):
        self.variance = variance
        self.mean = mean
        self.info = PriorInfo(name="gaussian")

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        gain = self.variance / (self.variance + _level(x, sigma) ** 2)  # (N, 1, 1, 1)
        return self.mean + gain * (x - self.mean)

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """grad log p_sigma(x), the shape of `x`."""
        return (self.mean - x) / (self.variance + _level(x, sigma) ** 2)

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log p_sigma of each row, (N,)."""
        variance = self.variance + _level(x, sigma) ** 2
        return _log_normal(x, self.mean, variance).flatten(1).sum(1)


class DenseGaussianPrior:
    """The whole image N(mean, covariance), flattened in the order (C, H, W).

    mean: (C*H*W,). covariance: (C*H*W, C*H*W), symmetric, positive semi-definite. Solved in float64.
    """

    def __init__(self, mean: Tensor, covariance: Tensor):
        self.mean = mean.double().flatten()
        self.variances, self.basis = torch.linalg.eigh(covariance.double())  # C = Q diag(variances) Q^T
        self.variances = self.variances.clamp(min=0)  # round-off of a singular covariance
        self.info = PriorInfo(name="dense_gaussian", fully_convolutional=False)

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        variance = sigma.double().square().reshape(len(sigma), -1).mean(1, keepdim=True)  # (N, 1), of a map its mean
        rotated = (x.double().flatten(1) - self.mean) @ self.basis  # (N, C*H*W)
        gain = self.variances / (self.variances + variance)
        return (self.mean + (gain * rotated) @ self.basis.T).reshape(x.shape).to(x.dtype)

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """grad log p_sigma(x), the shape of `x`."""
        variance = self.variances + sigma.double().reshape(-1, 1) ** 2
        rotated = (x.double().flatten(1) - self.mean) @ self.basis
        return -((rotated / variance) @ self.basis.T).reshape(x.shape).to(x.dtype)

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log p_sigma of each row, (N,) float64."""
        variance = self.variances + sigma.double().reshape(-1, 1) ** 2
        rotated = (x.double().flatten(1) - self.mean) @ self.basis
        return _log_normal(rotated, 0.0, variance).sum(1)


class GaussianMixturePrior:
    """Every pixel independently sum_j weights[j] N(means[j], variance): the simplest prior with a curved denoiser."""

    def __init__(self, weights: Sequence[float], means: Sequence[float], variance: float):
        self.weights = tuple(weights)
        self.means = tuple(means)
        self.variance = variance
        self.info = PriorInfo(name="gaussian_mixture")

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        means, responsibilities = x.new_tensor(self.means), self._log_joint(x, sigma).softmax(-1)
        gain = self.variance / (self.variance + _level(x, sigma).unsqueeze(-1) ** 2)
        return (responsibilities * (means + gain * (x.unsqueeze(-1) - means))).sum(-1)

    def score(self, x: Tensor, sigma: Tensor) -> Tensor:
        """grad log p_sigma(x), the shape of `x`."""
        means, responsibilities = x.new_tensor(self.means), self._log_joint(x, sigma).softmax(-1)
        return (responsibilities * (means - x.unsqueeze(-1))).sum(-1) / (self.variance + _level(x, sigma) ** 2)

    def log_density(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log p_sigma of each row, (N,)."""
        return self._log_joint(x, sigma).logsumexp(-1).flatten(1).sum(1)

    def _log_joint(self, x: Tensor, sigma: Tensor) -> Tensor:
        """log(weights[j] N(x; means[j], variance + sigma^2)): (N, C, H, W, J)."""
        variance = self.variance + _level(x, sigma).unsqueeze(-1) ** 2
        return x.new_tensor(self.weights).log() + _log_normal(x.unsqueeze(-1), x.new_tensor(self.means), variance)


def _log_normal(x: Tensor, mean: Tensor | float, variance: Tensor) -> Tensor:
    return -0.5 * ((x - mean) ** 2 / variance + variance.log() + math.log(2 * math.pi))
