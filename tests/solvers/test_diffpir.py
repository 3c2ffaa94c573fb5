"""DiffPIR: its fixed point, its flow and the frame of the paper (algorithms.md 7.1, 10.4)."""

import math

import pytest
import torch

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers.diffpir import SIGMA_Y_MIN, DiffpirParameters, diffpir
from solvers.drive import drive
from solvers.fill import smooth_fill
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem
from solvers.sampling import vp_levels
from tests.solvers.gaussian_prior import SMALL, VpFrame, covariance_of, gaussian, posterior
from tests.solvers.parts import Cubic, Silence, problem

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
every_operator = pytest.mark.parametrize("kind", SMALL)


@every_operator
@pytest.mark.parametrize("weight", [1.0, 4.0])
def test_the_fixed_point_is_the_posterior_mean_under_the_blurred_prior(kind, weight):
    """At a level that stands still, new noise only and its mean taken; lambda acts on the variance of the noise."""
    operator, prior, sigma_y, sigma = SMALL[kind], gaussian(), 0.3, 0.2
    task = problem(operator, sigma_y)
    params = DiffpirParameters(steps=500, renoise=1.0, prior_weight=weight, sigma_max=sigma, sigma_min=sigma)
    found = drive(diffpir(task, params, Silence(0)), prior.denoise).x
    blurred = DenseGaussianPrior(prior.mean, covariance_of(prior) + sigma**2 * torch.eye(16, dtype=torch.float64))
    expected, _ = posterior(operator, task.measurement, weight**0.5 * sigma_y, blurred)
    assert torch.allclose(found.flatten(), expected, atol=1e-8)


@every_operator
@pytest.mark.parametrize("zeta", [0.0, 0.25, 1.0])
def test_the_published_loop_in_the_published_frame(kind, zeta):
    """Algorithm 1 on x_t = sqrt(abar_t) z: the prox, eps from x0, and sqrt(1 - abar) of old and new noise."""
    operator, noise, steps, sigma_y = SMALL[kind], NoiseStream(1), 8, 0.2
    task = problem(operator, sigma_y, rows=2)
    params = DiffpirParameters(steps=steps, renoise=zeta, sigma_max=20.0, prior_weight=2.0)
    found = drive(diffpir(task, params, noise), MIXTURE.denoise).x

    frame, y = VpFrame(MIXTURE.denoise, noise, 0.0), task.measurement
    abars = [1 / (1 + level**2) for level in [*vp_levels(20.0, 0.01, steps, power=2), 0.0]]
    start = smooth_fill(y, operator.observed[None, None].double()) if kind == "mask" else operator.pseudoinverse(y)
    x_t = abars[0] ** 0.5 * start + (1 - abars[0]) ** 0.5 * noise.normal(0, start)
    for draw, (abar_t, abar_s) in enumerate(zip(abars, abars[1:], strict=False), start=1):
        x0, _ = frame.predict(x_t, abar_t)
        restored = operator.prox(y, x0, 2.0 * sigma_y**2 * abar_t / (1 - abar_t))
        eps = (x_t - abar_t**0.5 * restored) / (1 - abar_t) ** 0.5
        mixed = (1 - zeta) ** 0.5 * eps + zeta**0.5 * noise.normal(draw, x0)
        x_t = abar_s**0.5 * restored + (1 - abar_s) ** 0.5 * mixed
    assert torch.allclose(found, restored, atol=1e-10)


def test_the_spread_of_its_flow():
    """zeta = 0, denoising under N(m, c): samples part by the factor of the start's noise that the flow lets through.

    du / dsigma = u (1 - A B / ((sigma^2 + A)(sigma^2 + B))) / sigma, A = sigma_y^2 and B = c, has a closed form; down
    to 0 the variance is A^(B / (B - A)) B^(-A / (B - A)), below the posterior's A B / (A + B): a known bias.
    """
    a, b, first, last = 0.04, 0.25, 80.0, 0.5
    shape = (1, 4, 4)
    task = Problem(torch.zeros(1, *shape, dtype=torch.float64), Identity(shape), a**0.5)
    params = DiffpirParameters(steps=1000, renoise=0.0, prior_weight=1.0, sigma_max=first, sigma_min=last)
    prior = GaussianPrior(b)
    noisy, silent = (drive(diffpir(task, params, noise), prior.denoise).x for noise in (NoiseStream(3), Silence(0)))
    factor = ((noisy - silent) / (first * NoiseStream(3).normal(0, noisy))).flatten()

    def through(end: float) -> float:
        powers = {a: b / (2 * (b - a)), b: -a / (2 * (b - a))}
        return math.prod(((end**2 + v) / (first**2 + v)) ** power for v, power in powers.items())

    ending = a / (a + last**2) * b / (b + last**2)  # the picture is the last x0, not z
    assert torch.allclose(factor, torch.full_like(factor, through(last) * ending), rtol=0.02)
    limit = a ** (b / (b - a)) * b ** (-a / (b - a))
    assert (through(0.0) * first) ** 2 == pytest.approx(limit, rel=0.01)
    assert limit < a * b / (a + b)


@every_operator
def test_an_exact_measurement_is_met_but_for_a_little_noise(kind):
    task = problem(SMALL[kind], 0.0)
    sharp, noisy = (
        drive(
            diffpir(Problem(task.measurement, task.operator, s), DiffpirParameters(), NoiseStream(0)), MIXTURE.denoise
        )
        for s in (0.0, SIGMA_Y_MIN)
    )
    assert torch.equal(sharp.x, noisy.x)
    assert sharp.data_residual < 0.02


def test_an_operator_that_is_not_linear():
    task = problem(Cubic((1, 4, 4)), 0.05)
    found = drive(diffpir(task, DiffpirParameters(steps=30), NoiseStream(0)), GaussianPrior(0.25).denoise)
    assert found.data_residual < 0.1
