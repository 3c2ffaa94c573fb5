"""PiGDM: its guidance is the score of the measurement, and whole runs in the frame of the paper (algorithms.md 2)."""

import pytest
import torch

from priors.analytic import GaussianMixturePrior
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.pigdm import PigdmParameters, pigdm
from solvers.sampling import split_level, vp_levels
from tests.solvers.gaussian_prior import SMALL, Recorder, VpFrame, gaussian, jacobian, matrix_of
from tests.solvers.parts import Cubic, problem

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
every_operator = pytest.mark.parametrize("kind", SMALL)


@every_operator
@pytest.mark.parametrize("sigma", [0.3, 2.0])
def test_the_guidance_is_the_exact_score_for_a_prior_of_unit_variance(kind, sigma):
    """One step gives D + g, and g = r^2 grad_z log N(y; H D(z), r^2 H H^T + sigma_y^2), by autograd."""
    operator, prior, sigma_y = SMALL[kind], gaussian(1.0, correlation=0), 0.2
    task = problem(operator, sigma_y)
    found = drive(pigdm(task, PigdmParameters(steps=1, sigma_max=sigma), NoiseStream(4)), prior.denoise).x
    start = operator.pseudoinverse(task.measurement)
    z = (start + sigma * NoiseStream(4).normal(0, start)).requires_grad_()
    d = prior.denoise(z, torch.tensor([sigma], dtype=torch.float64))
    h, r2 = matrix_of(operator), sigma**2 / (1 + sigma**2)
    residual = task.measurement.flatten() - h @ d.flatten()
    covariance = r2 * h @ h.T + sigma_y**2 * torch.eye(len(h), dtype=torch.float64)
    if kind == "mask":  # the measurement has zeros in the holes, and no noise either
        known = operator.observed.flatten()
        residual, covariance = residual[known], covariance[known][:, known]
    log_density = -0.5 * residual @ torch.linalg.solve(covariance, residual)
    (score,) = torch.autograd.grad(log_density, z)
    assert torch.allclose(found, d + r2 * score, atol=1e-12)


@every_operator
@pytest.mark.parametrize("sigma_y", [0.0, 0.2])
def test_one_step_from_a_gaussian_prior(kind, sigma_y):
    """x = D + w J^T H^T (H H^T + sigma_y^2 / r^2)^+ (y - H D); without noise that is J^T H^+ (y - H D)."""
    operator, prior, sigma = SMALL[kind], gaussian(), 0.7
    task = problem(operator, sigma_y)
    params = PigdmParameters(steps=1, guidance=0.6, sigma_max=sigma)
    found = drive(pigdm(task, params, NoiseStream(4)), prior.denoise).x.flatten()
    h, j = matrix_of(operator), jacobian(prior, sigma)
    start = operator.pseudoinverse(task.measurement)
    z = (start + sigma * NoiseStream(4).normal(0, start)).flatten()
    d = prior.mean + j @ (z - prior.mean)
    weight = h @ h.T + sigma_y**2 * (1 + sigma**2) / sigma**2 * torch.eye(len(h), dtype=torch.float64)
    guide = j.T @ h.T @ torch.linalg.pinv(weight) @ (task.measurement.flatten() - h @ d)
    assert torch.allclose(found, d + 0.6 * guide, atol=1e-10)


@every_operator
@pytest.mark.parametrize("sigma_y", [0.0, 0.2])
def test_the_published_loop_in_the_published_frame(kind, sigma_y):
    """algorithms.md 2: x_s = DDIM + a_s a_t w g, g being differentiated with respect to x_t."""
    operator, noise, steps, weight = SMALL[kind], NoiseStream(1), 6, 0.8
    task = problem(operator, sigma_y, rows=2)
    params = PigdmParameters(steps=steps, guidance=weight, eta=0.5, sigma_max=20.0)
    found = drive(pigdm(task, params, noise), MIXTURE.denoise).x

    frame, y = VpFrame(MIXTURE.denoise, noise, 0.5), task.measurement
    h = matrix_of(operator)
    abars = [1 / (1 + level**2) for level in [*vp_levels(20.0, 0.01, steps), 0.0]]
    start = operator.pseudoinverse(y)
    x_t = abars[0] ** 0.5 * start + (1 - abars[0]) ** 0.5 * noise.normal(0, start)
    for draw, (abar_t, abar_s) in enumerate(zip(abars, abars[1:], strict=False), start=1):
        x_t.requires_grad_()
        x0, eps = frame.predict(x_t, abar_t)
        weights = h @ h.T + sigma_y**2 / (1 - abar_t) * torch.eye(len(h), dtype=torch.float64)  # r^2 = 1 - abar_t
        residual = y.flatten(1) - x0.detach().flatten(1) @ h.T
        vector = (residual @ torch.linalg.pinv(weights) @ h).reshape(x0.shape)
        (guide,) = torch.autograd.grad(x0, x_t, vector)
        x_t = frame.step(x0, eps, abar_t, abar_s, draw) + (abar_s * abar_t) ** 0.5 * weight * guide
        x_t = x_t.detach()
    assert torch.allclose(found, x_t, atol=1e-9)


def test_mean_and_variance_of_its_samples():
    """Denoising under N(m, I): every step is affine, so mean and variance follow from the start by recursion.

    The weights of the paper hold the samples closer to the measurement than the posterior does: a known bias.
    """
    sigma_y, steps, rows = 0.5, 40, 4000
    operator, prior = SMALL["identity"], gaussian(1.0, correlation=0)
    one = problem(operator, sigma_y)
    task = type(one)(one.measurement.expand(rows, -1, -1, -1), operator, sigma_y)
    x = drive(pigdm(task, PigdmParameters(steps=steps), NoiseStream(0)), prior.denoise).x.flatten(1)
    m, y = prior.mean, one.measurement.flatten()
    levels = [*vp_levels(80, 0.01, steps), 0.0]
    mean, variance = y, levels[0] ** 2
    for sigma, following in zip(levels, levels[1:], strict=False):
        kept, fresh = split_level(sigma, following, 1.0)
        j = 1 / (1 + sigma**2)
        gain = j / (1 + sigma_y**2 * (1 + sigma**2) / sigma**2)
        factor = kept / sigma + (1 - kept / sigma - gain) * j
        mean = factor * mean + (1 - kept / sigma - gain) * (1 - j) * m + gain * y
        variance = factor**2 * variance + fresh**2
    assert torch.allclose(x.mean(0), mean, atol=5 * (variance / rows) ** 0.5)
    assert float(x.var(0).mean()) == pytest.approx(variance, rel=5 * (2 / (16 * rows)) ** 0.5)
    exact = sigma_y**2 / (1 + sigma_y**2)
    assert variance < exact
    assert (mean - y).norm() < ((m - y) * exact).norm()


def test_without_noise_the_measurement_is_met():
    operator = SMALL["bicubic"]
    found = drive(pigdm(problem(operator, 0.0), PigdmParameters(), NoiseStream(0)), gaussian().denoise)
    assert found.data_residual < 1e-3


def test_an_operator_that_is_not_linear_pulls_the_move_of_its_prox():
    recorder, task = Recorder(MIXTURE.denoise), problem(Cubic((1, 4, 4)), 0.1)
    recorder.drive(pigdm(task, PigdmParameters(steps=8), NoiseStream(0)))
    for query, denoised in zip(recorder.asked[1::2], recorder.answers[::2], strict=True):
        sigma = float(query.sigma)
        rho = 0.1**2 * (1 + sigma**2) / sigma**2
        assert torch.allclose(
            query.cotangent, Cubic((1, 4, 4)).prox(task.measurement, denoised, rho) - denoised, atol=1e-12
        )
