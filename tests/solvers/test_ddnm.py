"""DDNM+: range and null space, and the account of the noise (algorithms.md 7.1)."""

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior, GaussianPrior
from solvers.ddnm import DAMPING_MIN, SPREAD, DdnmParameters, damped, ddnm, rectified, shaped
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Blur, Downsample, Mask, kernels
from solvers.operators.base import OperatorError
from solvers.query import Problem
from solvers.sampling import vp_levels
from tests.solvers.gaussian_prior import SMALL, VpFrame, ancestral_moments, gaussian, matrix_of
from tests.solvers.parts import Cubic, problem

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
every_operator = pytest.mark.parametrize("kind", SMALL)
ORTHOGONAL = ("identity", "mask", "box")
"""H H^T = |H|^2 I on the range: there ours is the paper's."""


@every_operator
def test_an_exact_measurement_is_met_exactly(kind):
    task = problem(SMALL[kind], 0.0)
    x = drive(ddnm(task, DdnmParameters(steps=20), NoiseStream(0)), gaussian().denoise).x
    assert torch.allclose(task.operator.forward(x), task.measurement, atol=1e-12)


@pytest.mark.parametrize("kind", ORTHOGONAL)
@pytest.mark.parametrize("sigma_y", [0.0, 0.3])
def test_the_published_loop_in_the_published_frame(kind, sigma_y):
    """Eqs. 12 and 13 and section 3.3 for DDPM, on sqrt(abar_t) z: lambda before H^+, less noise in the range."""
    operator, noise, steps = SMALL[kind], NoiseStream(1), 12
    task = problem(operator, sigma_y, rows=2)
    found = drive(ddnm(task, DdnmParameters(steps=steps, eta=1.0, sigma_max=20.0), noise), MIXTURE.denoise).x

    frame, y, scaled = VpFrame(MIXTURE.denoise, noise, 1.0), task.measurement, sigma_y / operator.norm
    project = lambda x: operator.pseudoinverse(operator.forward(x))  # noqa: E731
    abars = [1 / (1 + level**2) for level in [*vp_levels(20.0, 0.01, steps), 0.0]]
    start = operator.pseudoinverse(y)
    x_t = abars[0] ** 0.5 * start + (1 - abars[0]) ** 0.5 * noise.normal(0, start)
    gains = []
    for draw, (abar_t, abar_s) in enumerate(zip(abars, abars[1:], strict=False), start=1):
        x0, _ = frame.predict(x_t, abar_t)
        beta = 1 - abar_t / abar_s
        a = abar_s**0.5 * beta / (1 - abar_t)  # of x0 in the posterior's mean
        sigma_t = (beta * (1 - abar_s) / (1 - abar_t)) ** 0.5
        lam = 1.0 if sigma_t >= a * scaled else sigma_t / (a * scaled)
        gains.append(lam)
        x0 = x0 - lam * operator.pseudoinverse(operator.forward(x0) - y)
        new = noise.normal(draw, x0)
        along = max(0.0, sigma_t**2 - (a * lam * scaled) ** 2) ** 0.5
        mean = a * x0 + (abar_t / abar_s) ** 0.5 * (1 - abar_s) / (1 - abar_t) * x_t
        x_t = mean + sigma_t * (new - project(new)) + along * project(new)
    assert torch.allclose(found, x_t, atol=1e-9)
    assert min(gains) < 1 < 2 * max(gains) if sigma_y else min(gains) == 1


@pytest.mark.parametrize("kind", ORTHOGONAL)
def test_noise_of_measurement_and_step_add_up(kind):
    """A step's new noise and what x0 brings of the measurement's are white together, of the level of the step."""
    operator, sigma_y, share, fresh, gain = SMALL[kind], 0.3, 0.4, 0.9, 0.7
    carried = share * sigma_y / operator.norm
    basis = torch.eye(16, dtype=torch.float64).reshape(16, 1, 4, 4)
    new = shaped(operator, basis, fresh, (fresh**2 - (gain * carried) ** 2) ** 0.5).reshape(16, 16)
    h = matrix_of(operator)
    brought = share * sigma_y * gain * torch.linalg.pinv(h)
    assert torch.allclose(new.T @ new + brought @ brought.T, fresh**2 * torch.eye(16, dtype=torch.float64), atol=1e-12)


@every_operator
@pytest.mark.parametrize("gain", [0.0, 0.3, 1.0])
def test_the_gain_falls_with_the_singular_value(kind, gain):
    """In place of the paper's lambda for each singular vector: s^2 / (s^2 + rho), which is `gain` at s = |H|."""
    operator = SMALL[kind]
    h = matrix_of(operator)
    _, s, v = torch.linalg.svd(h, full_matrices=False)
    y = problem(operator).measurement
    x = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    gains = torch.zeros_like(s)
    if gain:
        inside = s > 1e-9
        gains[inside] = s[inside] ** 2 / (s[inside] ** 2 + operator.norm**2 * (1 / gain - 1))
        assert float(gains.max()) == pytest.approx(gain)
    expected = x.flatten() - v.T @ (gains * (v @ torch.linalg.pinv(h) @ (h @ x.flatten() - y.flatten())))
    assert torch.allclose(rectified(operator, y, x, gain).flatten(), expected, atol=1e-10)


def test_holes_of_independent_pixels_are_samples_of_the_prior():
    """With the variance of ancestral sampling, which tends to the prior's: `test_sampling`."""
    c, mean, side, steps = 0.25, 0.4, 200, 100
    observed = torch.rand(side, side, generator=torch.Generator().manual_seed(0)) < 0.1
    operator, prior = Mask(observed, 1), GaussianPrior(c, mean)
    task = problem(operator, 0.0)
    x: Tensor = drive(ddnm(task, DdnmParameters(steps=steps, eta=1.0), NoiseStream(0)), prior.denoise).x
    hole = x[0, 0][~observed]
    _, variance = ancestral_moments(steps, 1.0, mean, c)
    assert float(hole.mean()) == pytest.approx(mean, abs=0.02)
    assert float(hole.var()) == pytest.approx(variance, rel=4 * (2 / len(hole)) ** 0.5)


def test_a_measurement_of_much_noise_is_not_met():
    task = problem(SMALL["box"], 0.5)
    exact = Problem(task.measurement, task.operator, 0.0)
    noisy, sharp = (drive(ddnm(t, DdnmParameters(), NoiseStream(0)), gaussian().denoise) for t in (task, exact))
    assert noisy.data_residual > 0.05 > 1e-9 > sharp.data_residual


def test_the_pseudo_inverse_of_a_blur_is_the_posterior_mean_of_white_pictures():
    """By the noise: (H^T H + (sigma_y / SPREAD)^2)^-1 H^T y."""
    blur, sigma_y = Blur((1, 4, 4), 2 * kernels.gaussian(0.6)), 0.1
    y, h = problem(blur).measurement, matrix_of(blur)
    expected = torch.linalg.solve(h.T @ h + (sigma_y / SPREAD) ** 2 * torch.eye(16).double(), h.T @ y.flatten())
    assert torch.allclose(damped(blur, sigma_y).pseudoinverse(y).flatten(), expected, atol=1e-8)
    assert damped(blur, 0.0).damping == DAMPING_MIN
    assert damped(blur, 5.0).damping == 1.0


def test_a_damping_that_was_chosen_is_kept():
    for operator in (Blur((1, 4, 4), kernels.gaussian(0.6), damping=0.3), Downsample((1, 4, 4), 2), SMALL["mask"]):
        assert damped(operator, 0.1) is operator


def test_a_blur_of_much_noise_is_not_amplified():
    """Nearer to the truth than with the damping of no noise."""
    blur = Blur((1, 4, 4), kernels.gaussian(0.8))
    prior, truth = gaussian(), problem(SMALL["identity"]).measurement
    y = blur.forward(truth) + 0.2 * NoiseStream(5).normal(0, truth)
    errors = []
    for operator in (blur, Blur((1, 4, 4), kernels.gaussian(0.8), damping=DAMPING_MIN)):
        task = Problem(y, operator, 0.2)
        errors.append(float((drive(ddnm(task, DdnmParameters(), NoiseStream(0)), prior.denoise).x - truth).norm()))
    assert errors[0] < errors[1]


def test_an_operator_that_is_not_linear_is_refused():
    with pytest.raises(OperatorError, match="linear"):
        next(ddnm(problem(Cubic((1, 4, 4))), DdnmParameters(), NoiseStream(0)))
