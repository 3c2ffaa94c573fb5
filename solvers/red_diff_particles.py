"""Several restorations at once that keep away from each other: `solvers.red_diff_fast` with repulsion.

Where the measurement leaves a choice, restarts of RED-Diff choose alike: it seeks the mean and its noise cancels. N
particles, rows of one query, each with noise of its own, are therefore driven apart in the first half of the schedule,
where the choice is made, as by Repulsive Score Distillation (Zilberstein et al. 2025). Each prior p_sigma becomes
p_sigma / (density of the particles)^gamma, that is, the denoised image of particle i is moved by

    -gamma sigma^2 d/df_i ln sum_j k(f_i, f_j),   k = exp(-d^2 / h),   h = max(median d^2, sigma^2) / ln N,

before the measurement has its say, so every particle still fits. Features f are small pictures of the brightness in
place of a network's, and d^2 their mean square distance, so gamma means the same at every size. Particles closer than
the level are the same to the prior, hence the lower bound of h.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from solvers.noise import NoiseStream, normal_each
from solvers.query import Problem, Solution, Solver
from solvers.red_diff_fast import FastSettings, anneal, misfit

FEATURE_SIDE = 16
"""Longest side of the small pictures that are compared."""
REPELLED = 0.5
"""Share of the schedule, from its start, with repulsion."""


@dataclass(frozen=True)
class ParticleSettings(FastSettings):
    particles: int = 4
    """N."""
    repulsion: float = 0.5
    """gamma; 0 for independent restarts."""


@dataclass(frozen=True)
class ParticleNoise(NoiseStream):
    """A draw for each row: particle i meets the same noise however many there are, the first that of `fast`."""

    def normal(self, step: int, like: Tensor, draw: int = 0) -> Tensor:
        return normal_each(NoiseStream(self.seed), step, like, range(len(like)), draw)


def red_diff_particles(problem: Problem, settings: ParticleSettings, noise: NoiseStream) -> Solver:
    """`Solution.samples` are the particles, (N, C, H, W), `x` the one that is nearest to the others in mean square.

    Not their mean, which lies between the choices and is none. Their spread is `metrics["diversity"]`, the root mean
    square deviation from the mean on the [-1, 1] scale; it is no uncertainty, for which see `solvers.uncertainty`.
    """
    together = replace(problem, measurement=problem.measurement.repeat(settings.particles, 1, 1, 1))

    def push(mu: Tensor, sigma: float, share: float) -> Tensor | float:
        return settings.repulsion * sigma**2 * repulsion(mu, sigma) if share < REPELLED else 0.0

    samples = (yield from anneal(together, settings, ParticleNoise(noise.seed), push)).x
    distances = (samples[:, None] - samples).square().flatten(2).mean(2)  # (N, N)
    x = samples[distances.sum(1).argmin()][None]
    diversity = float((samples - samples.mean(0)).square().mean().sqrt())
    return Solution(x, misfit(problem, x), {"diversity": diversity}, samples=samples)


def repulsion(mu: Tensor, sigma: float) -> Tensor:
    """-d/df_i ln sum_j k(f_i, f_j) as a smooth picture in all channels: (N, C, H, W), zero for particles that agree."""
    features = small(mu)  # (N, 1, h, w)
    difference = features[:, None] - features  # (N, N, 1, h, w), from j to i
    d2 = difference.square().mean((2, 3, 4))  # (N, N)
    median = float(d2[torch.triu_indices(*d2.shape, offset=1).unbind()].median())
    h = max(median, sigma**2) / math.log(len(mu))
    k = torch.exp(-d2 / h)
    apart = 2 / h * torch.einsum("ij,ijchw->ichw", k, difference) / k.sum(1).reshape(-1, 1, 1, 1)
    return functional.interpolate(apart, mu.shape[-2:], mode="bilinear", align_corners=False).expand_as(mu)


def small(x: Tensor) -> Tensor:
    """The brightness, reduced to FEATURE_SIDE pixels: (N, 1, h, w)."""
    reduced = math.ceil(max(x.shape[-2:]) / FEATURE_SIDE)
    return functional.avg_pool2d(x.mean(1, keepdim=True), reduced, ceil_mode=True)
