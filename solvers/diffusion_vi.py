"""DiffusionVI: Cheng and Tan 2024, "Diffusion Priors for Variational Likelihood Estimation and Image Denoising".

The mode of ScoreDVI with a diffusion in place of the networks: the precision phi of the noise of every pixel is
estimated anew in each step of a reverse diffusion, which is drawn to the noisy picture as far as that allows. From x
of pure noise, for the level abar_t after level abar_s nearer to the picture, the last one being abar = 1:

    m, v    =  mean and variance of x_s given x_t, by the prior
    y_s     =  sqrt(abar_s) y + sqrt(1 - abar_s) N                        the noisy picture at the level
    repeat  u = (phi v y_s + T m) / (phi v + T),   s^2 = T v / (phi v + T)                                     (12)
            b = b0 abar_s + ((y_s - u)^2 + s^2) / (2 T),   phi = alpha / b,   alpha = alpha0 + 1 / (2 T)       (14)
    until   u rests
    w       =  blur(b / alpha)                                            variance of the noise                (17)
    x_s     =  (w m + v y_s) / (v + w)                                    the most likely one, nothing added   (15)

The temperature T below 1 lets the data count 1 / T times.

A prior here is a denoiser D, not a reverse diffusion. What x_s is given x_t follows from the ancestral step of DDPM (Ho
et al. 2020, Eq. 7) with D for the picture x_0, for sigma_t^2 = 1 / abar_t - 1 and kept = abar_t / abar_s,

    m  =  sqrt(abar_s) (1 - kept) / (1 - abar_t) D(x_t / sqrt(abar_t), sigma_t)
          + sqrt(kept) (1 - abar_s) / (1 - abar_t) x_t
    v  =  1 - kept

which is the larger one of DDPM's two variances; the smaller is 0 in the last step, where y would not count any more.
The paper's network has learnt one between them.

Levels are those of its 1,000 steps; of fewer, more of them are at low noise (t in squares, as DDIM has them). On fields
of an exact Gaussian prior, 24 of 16 x 16 pixels, in PSNR of peak 2, at noise of 0.05 / 0.1 / 0.2: noisy 32.0 / 26.1 /
20.0, posterior mean 38.9 / 34.1 / 29.3, 1,000 steps 38.6 / 33.9 / 28.9, 100 steps 38.6 / 33.8 / 28.5, and 100 that are
evenly spaced 38.3 / 33.3 / 28.0.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.levels import TIMESTEPS, vp_sigmas
from solvers.mixture import ALPHA0
from solvers.noise import NoiseStream
from solvers.query import Problem, Query, Solution, Solver
from solvers.sampling import vp_levels
from solvers.window import gaussian_sums

SETTLED = 1e-6
"""Sum over the picture of the squared changes of u."""
MOST_ROUNDS = 1000
"""30 are usual, 310 the most that was seen."""
BLUR = 1.0
"""Standard deviation in pixels. The paper's window is 9 pixels wide, this one 7: 0.0003 of the peak is cut off."""


@dataclass(frozen=True)
class DiffusionSettings:
    """Levels on the [-1, 1] scale, which is the paper's too."""

    beta0: float = 0.01
    """b0."""
    steps: int = 100
    temperature: float = 0.2


def diffusion_vi(problem: Problem, settings: DiffusionSettings, noise: NoiseStream) -> Solver:
    """Denoise the picture of `problem`, one query of one row each step. Component 0 is asked; sigma_y is not used."""
    y = problem.measurement
    check_finite(y, 0, "the measurement")
    x, phi, estimate = noise.normal(0, y), torch.ones_like(y), y  # at abar = 4e-5 there is nothing but noise
    for step, (sigma, following) in enumerate(pairwise(levels(settings.steps))):
        now, then = 1 / (1 + sigma**2), 1 / (1 + following**2)  # abar_t, abar_s
        denoised = yield _query(x / math.sqrt(now), sigma, step, settings.steps, estimate, y)
        check_finite(denoised, step, "the denoised image")
        mean, variance = reverse(x, denoised, now, then)
        target = math.sqrt(then) * y + math.sqrt(1 - then) * noise.normal(step + 1, y)
        beta = likelihood(target, mean, variance, phi, settings.beta0 * then, settings.temperature)
        phi = shape(settings.temperature) / beta
        spread = _blurred(1 / phi)
        x, estimate = torch.lerp(mean, target, variance / (variance + spread)), denoised
        check_finite(x, step, "the estimate")
    return Solution(x, root_mean_square(y - x), {"steps": float(settings.steps)}, noise_map=spread.sqrt())


def levels(steps: int) -> list[float]:
    """sigma_t of every step, and 0."""
    table = vp_sigmas()
    power = 1.0 if steps == TIMESTEPS else 0.5
    return [*vp_levels(float(table[-1]), float(table[0]), steps, power), 0.0]


def reverse(x: Tensor, denoised: Tensor, now: float, then: float) -> tuple[Tensor, float]:
    """Mean and variance of x_s at abar = `then`, for x_t at abar = `now`."""
    kept = now / then
    picture, old = math.sqrt(then) * (1 - kept) / (1 - now), math.sqrt(kept) * (1 - then) / (1 - now)
    return picture * denoised + old * x, 1 - kept


def shape(temperature: float) -> float:
    """alpha of q(phi)."""
    return ALPHA0 + 1 / (2 * temperature)


def likelihood(y: Tensor, mean: Tensor, variance: float, phi: Tensor, beta0: float, temperature: float) -> Tensor:
    """b, the rate of q(phi) at the fixed point of (12) and (14), reached from `phi`."""
    u = mean
    for _ in range(MOST_ROUNDS):
        trust = phi * variance / (phi * variance + temperature)
        before, u = u, torch.lerp(mean, y, trust)
        beta = beta0 + ((y - u).square() + variance * (1 - trust)) / (2 * temperature)
        phi = shape(temperature) / beta
        if float((u - before).square().sum()) <= SETTLED:
            break
    return beta


def _query(x: Tensor, sigma: float, step: int, total: int, estimate: Tensor, y: Tensor) -> Query:
    residual = root_mean_square(y - estimate)
    return Query(x, y.new_full((len(y),), sigma), step, total, estimate, residual, lambda: estimate)


def _blurred(x: Tensor) -> Tensor:
    return gaussian_sums(x, BLUR) / gaussian_sums(torch.ones_like(x), BLUR)
