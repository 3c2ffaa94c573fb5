"""DAPS: exact samples where its assumptions hold, and each of its two steps by itself (algorithms.md 7.1)."""

import math

import pytest
import torch

from priors.analytic import GaussianMixturePrior, GaussianPrior
from solvers.daps import TAU_MIN, DapsParameters, daps, data_sample, edm_levels, flow
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.query import Problem
from solvers.sampling import Chains
from tests.solvers.gaussian_prior import SMALL, Recorder, gaussian, matrix_of, posterior
from tests.solvers.parts import Cubic, problem

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
ROWS = 20_000
every_operator = pytest.mark.parametrize("kind", SMALL)


def many(task: Problem, rows: int = ROWS) -> Problem:
    """The same measurement in every row: as many independent samples."""
    return Problem(task.measurement.expand(rows, -1, -1, -1), task.operator, task.sigma_y)


def assert_moments(x: torch.Tensor, mean: torch.Tensor, covariance: torch.Tensor) -> None:
    """Of samples (N, 1, 4, 4), within five standard errors."""
    x, n = x.flatten(1), len(x)
    deviation = covariance.diagonal().sqrt()
    assert ((x.mean(0) - mean).abs() < 5 * deviation / n**0.5).all()
    assert ((x.T.cov() - covariance).abs() < 5 * torch.outer(deviation, deviation) * (2 / n) ** 0.5).all()


@every_operator
def test_exact_samples_of_the_posterior(kind):
    """Prior N(m, c I), r^2 = c sigma^2 / (c + sigma^2), one Euler step: nothing is approximated."""
    prior, sigma_y = gaussian(0.25, correlation=0), 0.3
    task = problem(SMALL[kind], sigma_y)
    params = DapsParameters(steps=5, ode_steps=1, spread=0.5, sigma_max=20.0)
    x = drive(daps(many(task), params, NoiseStream(0)), prior.denoise).x
    assert_moments(x, *posterior(task.operator, task.measurement, sigma_y, prior))


@pytest.mark.parametrize("kind", ["mask", "bicubic"])
def test_the_spread_of_correlated_pixels_is_too_wide(kind):
    """r is that of independent pixels; the true x given z is narrower. The means agree all the same, roughly."""
    prior, sigma_y = gaussian(), 0.3
    task = problem(SMALL[kind], sigma_y)
    params = DapsParameters(steps=20, ode_steps=1, spread=0.5, sigma_max=20.0, sigma_min=0.01)
    x = drive(daps(many(task, 4000), params, NoiseStream(0)), prior.denoise).x.flatten(1)
    mean, covariance = posterior(task.operator, task.measurement, sigma_y, prior)
    assert (x.mean(0) - mean).abs().max() < 0.1
    assert 1 < float(x.var(0).mean() / covariance.diagonal().mean()) < 1.6


@pytest.mark.parametrize("sigma", [0.3, 3.0])
def test_the_flow(sigma):
    """One Euler step is the denoiser; many lead to m + sqrt(c / (c + sigma^2)) (z - m)."""
    c, mean = 0.25, 0.4
    z = torch.linspace(-2, 2, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    chains = Chains(problem(SMALL["identity"]), NoiseStream(0), 1, 1)
    denoise = GaussianPrior(c, mean).denoise
    one, limit = (drive(flow(chains, z, sigma, z, 0, DapsParameters(ode_steps=n)), denoise) for n in (1, 100))
    assert torch.allclose(one, mean + c / (c + sigma**2) * (z - mean), atol=1e-12)
    assert torch.allclose(limit, mean + math.sqrt(c / (c + sigma**2)) * (z - mean), atol=0.06)


def test_every_level_begins_with_fresh_noise_on_the_sample():
    recorder, params = Recorder(MIXTURE.denoise), DapsParameters(steps=4, ode_steps=3)
    recorder.drive(daps(problem(SMALL["box"]), params, NoiseStream(7)))
    assert [query.step for query in recorder.asked] == list(range(12))
    first = recorder.asked[::3]
    assert [float(query.sigma) for query in first] == pytest.approx(edm_levels(params.sigma_max, params.sigma_min, 4))
    for step, query in enumerate(first):
        n = NoiseStream(7).normal(step * (params.langevin_steps + 1), query.x)
        assert torch.allclose((query.x - query.mean()) / query.sigma, n, atol=1e-10)


def test_langevin_steps_of_a_finite_length():
    """Stationary covariance P^-1 (I - eta P / 2)^-1, P = H^T H / tau^2 + I / r^2, around the exact mean."""
    operator, sigma_y, r = SMALL["bicubic"], 0.3, 0.4
    task = many(problem(operator, sigma_y), 3000)
    params = DapsParameters(data_step="langevin", langevin_steps=60, learning_rate=0.5)
    x0 = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    x = data_sample(Chains(task, NoiseStream(1), 1, 1), x0.expand(3000, -1, -1, -1), r, 0, params)
    h, identity = matrix_of(operator), torch.eye(16, dtype=torch.float64)
    precision = h.T @ h / sigma_y**2 + identity / r**2
    mean = torch.linalg.solve(precision, h.T @ task.measurement[0].flatten() / sigma_y**2 + x0.flatten() / r**2)
    eta = 0.5 / (1 / sigma_y**2 + 1 / r**2)
    assert_moments(x, mean, torch.linalg.inv(precision @ (identity - eta / 2 * precision)))


def test_the_exact_data_step_has_no_such_bias():
    operator, sigma_y, r = SMALL["bicubic"], 0.3, 0.4
    task = many(problem(operator, sigma_y))
    x0 = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    x = data_sample(Chains(task, NoiseStream(1), 1, 1), x0.expand(ROWS, -1, -1, -1), r, 0, DapsParameters())
    h = matrix_of(operator)
    covariance = torch.linalg.inv(h.T @ h / sigma_y**2 + torch.eye(16, dtype=torch.float64) / r**2)
    mean = covariance @ (h.T @ task.measurement[0].flatten() / sigma_y**2 + x0.flatten() / r**2)
    assert_moments(x, mean, covariance)


def test_langevin_on_an_operator_that_is_not_linear():
    """Against the posterior of one pixel by quadrature; short steps leave little bias."""
    tau, r = 0.5, 0.6
    y, x0 = torch.full((500, 1, 4, 4), 1.2, dtype=torch.float64), torch.full((500, 1, 4, 4), 0.1, dtype=torch.float64)
    params = DapsParameters(langevin_steps=300, learning_rate=0.05)
    x = data_sample(Chains(Problem(y, Cubic((1, 4, 4)), tau), NoiseStream(1), 1, 1), x0, r, 0, params)
    grid = torch.linspace(-2, 2, 4001, dtype=torch.float64)
    weights = (-((grid + grid**3 - 1.2) ** 2) / (2 * tau**2) - (grid - 0.1) ** 2 / (2 * r**2)).softmax(0)
    mean = float((weights * grid).sum())
    deviation = float((weights * (grid - mean) ** 2).sum()) ** 0.5
    assert float(x.mean()) == pytest.approx(mean, abs=0.02)
    assert float(x.std()) == pytest.approx(deviation, rel=0.05)


@pytest.mark.parametrize("data_step", ["exact", "langevin"])
def test_an_exact_measurement_has_a_little_noise(data_step):
    task = problem(SMALL["mask"], 0.0)
    found = drive(daps(task, DapsParameters(steps=10, data_step=data_step), NoiseStream(0)), MIXTURE.denoise)
    known = task.operator.observed
    residual = (task.measurement - found.x)[0, 0][known]
    assert 0.2 * TAU_MIN < float(residual.square().mean().sqrt()) < 2 * TAU_MIN


def test_levels():
    assert edm_levels(80.0, 0.002, 1) == pytest.approx([80.0])
    levels = edm_levels(100.0, 0.1, 200)
    assert (levels[0], levels[-1]) == (pytest.approx(100.0), pytest.approx(0.1))
    assert levels[100] ** (1 / 7) == pytest.approx(100 ** (1 / 7) + 100 / 199 * (0.1 ** (1 / 7) - 100 ** (1 / 7)))
