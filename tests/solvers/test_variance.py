"""The variance that RED-Diff may learn beside its mean (algorithms.md 10.9)."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior, GaussianPrior
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.variance import LEAST_DEVIATION, data_gradient_by_deviation, divergence_gradients
from tests.solvers.parts import Dimmed, operators, problem, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
NODES, WEIGHTS = (torch.from_numpy(array) for array in np.polynomial.hermite_e.hermegauss(80))


def expected_gradients(prior, mu: float, q: float, sigma: float) -> tuple[float, float]:
    """E over n by quadrature, of one value."""
    rows = torch.full((80, 1, 1, 1), mu, dtype=torch.float64)
    z = rows + math.hypot(q, sigma) * NODES.reshape(-1, 1, 1, 1)
    denoised = prior.denoise(z, torch.full((80,), sigma, dtype=torch.float64))
    level, spread = (torch.tensor(value, dtype=torch.float64).reshape(1, 1, 1, 1) for value in (sigma, q))
    found = divergence_gradients(z, rows, denoised, level, spread)
    return tuple(float(WEIGHTS @ each.flatten()) / math.sqrt(2 * math.pi) for each in found)


def divergence(mu: float, q: float, sigma: float) -> float:
    """KL(N(mu, q^2 + sigma^2) || p_sigma) of the mixture by quadrature."""
    radius = math.hypot(q, sigma)
    z = (mu + radius * NODES).reshape(-1, 1, 1, 1)
    entropy = 0.5 * math.log(2 * math.pi * math.e * radius**2)
    density = MIXTURE.log_density(z, torch.full((80,), sigma, dtype=torch.float64))
    return -entropy - float(WEIGHTS @ density) / math.sqrt(2 * math.pi)


def test_the_gradients_of_the_divergence():
    """10.9: the reference of a mixture, and the slopes of the divergence itself."""
    mu, q, sigma, h = 0.1, 0.2, 0.3, 1e-4
    by_mean, by_deviation = expected_gradients(MIXTURE, mu, q, sigma)
    assert by_mean == pytest.approx(-0.80779492, abs=1e-8)
    assert by_deviation == pytest.approx(-1.51966265, abs=1e-8)
    assert (divergence(mu + h, q, sigma) - divergence(mu - h, q, sigma)) / (2 * h) == pytest.approx(by_mean, abs=1e-6)
    slope = (divergence(mu, q + h, sigma) - divergence(mu, q - h, sigma)) / (2 * h)
    assert slope == pytest.approx(by_deviation, abs=1e-6)


@pytest.mark.parametrize("sigma", [0.01, 0.3, 2.0, 100.0])
def test_a_gaussian_prior_is_met_at_every_level(sigma):
    """10.9: stationary at mu = m and q^2 = c, whatever the level."""
    c, m = 0.25, 0.1
    assert expected_gradients(GaussianPrior(c, m), m, math.sqrt(c), sigma) == pytest.approx((0, 0), abs=1e-9)
    assert (
        expected_gradients(GaussianPrior(c, m), m, 0.4, sigma)[1]
        < 0
        < expected_gradients(GaussianPrior(c, m), m, 0.6, sigma)[1]
    )


@pytest.mark.parametrize("kind", operators())
def test_the_data_term_of_the_deviation(kind):
    """q tr(H^T H), the trace from the images of the unit vectors."""
    operator = operators()[kind]
    n = math.prod(operator.input_shape)
    trace = float(operator.forward(torch.eye(n, dtype=torch.float64).reshape(n, *operator.input_shape)).square().sum())
    q = torch.full((400, 1, 1, 1), 0.3, dtype=torch.float64)
    probes = torch.randn(400, *operator.input_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = data_gradient_by_deviation(operator, torch.zeros_like(probes), q, probes)
    assert found.shape == (400, 1, 1, 1)
    assert float(found.mean()) == pytest.approx(0.3 * trace, rel=0.04)


def learnt(task: Problem, **options: object) -> tuple[Tensor, float]:
    params = RedDiffParameters(mode="paper", variance="learnt", **options)
    solution = drive(red_diff(task, params, NoiseStream(0)), GaussianPrior(0.25, 0.1).denoise)
    assert solution.deviation.shape == solution.x.shape
    deviation = float(solution.deviation[0, 0, 0, 0])
    assert torch.equal(solution.deviation, torch.full_like(solution.x, deviation))
    return solution.x, deviation


def test_without_data_the_prior_is_found():
    """mu = m and q^2 = c, from a start that is neither."""
    nothing = Dimmed(Identity((1, 32, 32)), 1e-9)
    task = Problem(torch.full((1, 1, 32, 32), -3e-10, dtype=torch.float64), nothing, 0.0)
    x, deviation = learnt(task, steps=200, prior_weight=1.0)
    assert float(x.mean()) == pytest.approx(0.1, abs=0.02)
    assert deviation == pytest.approx(0.5, rel=0.05)


def test_with_data_the_deviation_follows_the_balance_of_the_level():
    """R^2 (c + R^2) = lambda sigma w(sigma) c for q^2 = R^2 - sigma^2; where that is negative q is at its least."""
    task, c = problem(Identity((1, 32, 32)), 0.3), 0.25
    params = RedDiffParameters(
        mode="paper", variance="learnt", steps=1000, prior_weight=1.0, learning_rate=0.3, weighting="const"
    )
    asked, _ = queries(red_diff(task, params, NoiseStream(0)), GaussianPrior(c, 0.1).denoise)
    for query in asked[-60:-20:10]:
        sigma, radius = float(query.sigma), float((query.x - query.estimate).std())
        balanced = (-c + math.sqrt(c**2 + 4 * sigma * c)) / 2
        assert math.sqrt(radius**2 - sigma**2) == pytest.approx(math.sqrt(balanced - sigma**2), rel=0.15)
    _, deviation = learnt(task, steps=200)
    assert deviation == pytest.approx(LEAST_DEVIATION)


def test_it_begins_at_the_given_deviation_and_diffuses_by_it():
    task = problem(Identity((1, 40, 40)))
    for given, expected in ({}, 0.1), ({"posterior_std": 0.3}, 0.3):
        params = RedDiffParameters(mode="paper", variance="learnt", order="ascending", steps=20, **given)
        query = queries(red_diff(task, params, NoiseStream(0)), MIXTURE.denoise)[0][0]  # at sigma = 0.01
        assert float((query.x - query.estimate).std()) == pytest.approx(math.hypot(expected, 0.01), rel=0.08)


def test_without_a_deviation_it_is_the_published_algorithm():
    """Below the least deviation nothing is seen of it: the same pictures."""
    task = problem(operators()["box"])
    runs = [
        queries(red_diff(task, RedDiffParameters(mode="paper", steps=20, **options), NoiseStream(0)), MIXTURE.denoise)[
            0
        ]
        for options in ({}, {"variance": "learnt", "posterior_std": LEAST_DEVIATION})
    ]
    for published, ours in zip(*runs, strict=True):
        assert torch.allclose(published.estimate, ours.estimate, atol=2e-3)


def test_a_batch_equals_its_rows_alone():
    operator = operators()["mask"]
    together = problem(operator, rows=3)
    params = RedDiffParameters(mode="paper", variance="learnt", steps=20)

    class Same(NoiseStream):
        def normal(self, step, like, draw=0):
            return super().normal(step, like[:1], draw).expand_as(like).clone()

    x = drive(red_diff(together, params, Same(0)), MIXTURE.denoise)
    for i, y in enumerate(together.measurement.split(1)):
        alone = drive(red_diff(Problem(y, operator, together.sigma_y), params, NoiseStream(0)), MIXTURE.denoise)
        assert torch.allclose(x.x[i], alone.x[0], atol=1e-12)
        assert torch.allclose(x.deviation[i], alone.deviation[0], atol=1e-12)
