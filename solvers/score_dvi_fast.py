"""ScoreDVI without its networks: coordinate ascent in closed form.

Cheng et al. 2023, "Score Priors Guided Deep Variational Inference for Unsupervised Real-World Single Image Denoising",
train four networks for every picture. Each stationary condition of their loss is explicit, however (Stein's lemma), so
that a sweep needs two denoiser passes for each component and nothing else (algorithms.md 10.6b, 11.5):

    D+, D-  = D(mu + s n), D(mu - s n)
    J       = blur(n (D+ - D-) / 2 s) / blur(n^2)            diagonal of the denoiser's Jacobian
    phi     = (alpha0 + 1/2) / (beta0 + ((y - mu)^2 + s^2) / 2)
    mu      = (phi y + lambda / s^2 (D+ + D-) / 2) / (phi + lambda / s^2)
    s^2     = lambda J / phi

The posterior noise s n is what makes the picture fit a denoiser of white noise, whatever the noise of y is like. s is
per pixel, and the denoiser is told so. The division by blur(n^2) makes J exact where
it is constant. Sweeps that go on after the noise is gone smooth the picture: they end when mu hardly moves.
"""

from collections.abc import Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.checks import check_finite, root_mean_square
from solvers.mixture import ALPHA, DIRICHLET0, concentrations, evidence, moments, rate, responsibilities
from solvers.noise import NoiseStream
from solvers.query import Problem, Query, Solution, Solver
from solvers.symmetry import SYMMETRIES, apply, undo
from solvers.window import gaussian_sums

JACOBIAN_WIDTH = 4.0
"""Standard deviation in pixels of the window that J is averaged over."""
JACOBIAN_RANGE = (0.01, 1.0)
JITTER = 0.1
"""Noise added to a measurement that is denoised directly, as a fraction of its own."""


@dataclass(frozen=True)
class FastSettings:
    """`beta0` and levels on the [-1, 1] scale."""

    beta0: float
    prior_weight: float
    """lambda."""
    sweeps: int = 12
    """At most."""
    components: int = 1
    tolerance: float = 0.1
    """The sweeps end when mu moved by less than this fraction of s, both root mean squares; 0 makes all of them."""
    symmetry: str = "none"


@dataclass
class Component:
    """q(x_k) = N(mu, s^2) and the rate of q(phi_k)."""

    mean: Tensor
    variance: Tensor
    beta: Tensor
    """The best one for mean and variance."""


def score_dvi_fast(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """Two rows a query, one query for each component and sweep. Returns deviation and noise map too."""
    y = problem.measurement
    check_finite(y, 0, "the measurement")
    components = [_beginning(y, settings) for _ in range(settings.components)]
    weights = y.new_full((len(components), *[1] * y.ndim), 1 / len(components))
    dirichlet = torch.full_like(weights, DIRICHLET0)
    mean, total, elements = y, settings.sweeps * len(components), SYMMETRIES[settings.symmetry]
    for sweep in range(settings.sweeps):
        drawn, element = noise.normal(sweep, like=y), elements[sweep % len(elements)]
        for number, component in enumerate(components):
            step = sweep * len(components) + number
            asked = Asked(step, total, number, mean, root_mean_square(y - mean), element)
            yield from _ascend(component, y, drawn, asked, settings)
        if len(components) > 1:
            weights, dirichlet = _reweigh(components, settings, dirichlet)
        means, variances = zip(*[(component.mean, component.variance) for component in components], strict=True)
        before, (mean, deviation) = mean, moments(weights, means, variances)
        if root_mean_square(mean - before) < settings.tolerance * root_mean_square(deviation):
            break
    precision = sum(weight * (ALPHA / component.beta) for weight, component in zip(weights, components, strict=True))
    metrics = {"sweeps": sweep + 1.0}
    return Solution(mean, root_mean_square(y - mean), metrics, deviation, noise_map=precision.rsqrt())


def _beginning(y: Tensor, settings: FastSettings) -> Component:
    """s^2 is that of the weakest likelihood."""
    variance = torch.full_like(y, settings.prior_weight * settings.beta0 / ALPHA)
    return Component(y, variance, rate(settings.beta0, variance))


def posterior_mean(problem: Problem, settings: FastSettings, noise: NoiseStream) -> Solver:
    """White noise on the picture itself: D(y, sigma_y) is the posterior mean, and sigma_y^2 J its variance.

    Component 0 is asked, twice a sweep, under changing symmetries and a little noise of either sign.
    """
    y, sigma = problem.measurement, problem.sigma_y
    check_finite(y, 0, "the measurement")
    mean, slope, elements = y, torch.zeros_like(y), SYMMETRIES[settings.symmetry]
    for sweep in range(settings.sweeps):
        element = elements[sweep % len(elements)]
        asked = Asked(sweep, settings.sweeps, 0, mean, root_mean_square(y - mean), element, sigma)
        level = torch.full_like(y, JITTER * sigma)
        denoised, jacobian = yield from antithetic(y, level, noise.normal(sweep, like=y), asked)
        mean, slope = mean.lerp(denoised, 1 / (sweep + 1)), slope.lerp(jacobian, 1 / (sweep + 1))
    metrics, deviation = {"sweeps": float(settings.sweeps)}, sigma * slope.sqrt()
    return Solution(mean, root_mean_square(y - mean), metrics, deviation, noise_map=torch.full_like(y, sigma))


@dataclass(frozen=True)
class Asked:
    """What a query says beside its picture."""

    step: int
    total: int
    component: int
    estimate: Tensor
    residual: float
    element: int
    """Of the symmetries."""
    direct: float = 0.0
    """Noise that is in the picture already, where it is a measurement."""


def antithetic(
    mean: Tensor, level: Tensor, drawn: Tensor, asked: Asked
) -> Generator[Query, Tensor, tuple[Tensor, Tensor]]:
    """(D+ + D-) / 2 and J at `mean`, (N, C, H, W), of a pair of rows with the noise `drawn` times +-`level`."""
    pair = torch.cat([mean + level * drawn, mean - level * drawn])  # (2 N, C, H, W)
    answer = yield Query(
        apply(pair, asked.element),
        apply(levels_of(level, asked.direct), asked.element),
        asked.step,
        asked.total,
        asked.estimate,
        asked.residual,
        # what noise a measurement has in it already, nobody knows
        None if asked.direct else lambda: apply(torch.cat([mean, mean]), asked.element),
        asked.component,
    )
    check_finite(answer, asked.step, "the denoised image")
    plus, minus = undo(answer, asked.element).chunk(2)
    slopes = (plus - minus).mul_(drawn).div_(2 * level)  # in place: a plane of 12 megapixels has 144 MB
    jacobian = gaussian_sums(slopes, JACOBIAN_WIDTH).div_(gaussian_sums(drawn.square(), JACOBIAN_WIDTH))
    return (plus + minus) / 2, jacobian.clamp_(*JACOBIAN_RANGE)


def levels_of(level: Tensor, direct: float) -> Tensor:
    """(2 N, 1, H, W), what a pair of rows is said to have for noise: one level for all channels of a pixel."""
    return (level.square().mean(1, keepdim=True) + direct**2).sqrt().repeat(2, 1, 1, 1)


def _ascend(
    component: Component, y: Tensor, drawn: Tensor, asked: Asked, settings: FastSettings
) -> Generator[Query, Tensor, None]:
    """One step in the coordinates of a component: its mean, its variance and its precision."""
    denoised, jacobian = yield from antithetic(component.mean, component.variance.sqrt(), drawn, asked)
    precision = ALPHA / component.beta
    prior = settings.prior_weight / component.variance
    component.mean = (precision * y + prior * denoised) / (precision + prior)
    component.variance = settings.prior_weight * jacobian / precision
    component.beta = rate(settings.beta0, (y - component.mean).square() + component.variance)
    check_finite(component.mean, asked.step, "the estimate")


def _reweigh(components: list[Component], settings: FastSettings, dirichlet: Tensor) -> tuple[Tensor, Tensor]:
    """pi and d, (K, N, C, H, W) each."""
    evidences = torch.stack([evidence(settings.beta0, component.beta) for component in components])
    variances = torch.stack([component.variance for component in components])
    weights = responsibilities(evidences, variances, settings.prior_weight, dirichlet)
    return weights, concentrations(weights)
