"""Coordinate ascent in closed form: its fixed point, its queries, its end (algorithms.md 10.6, 11.5)."""

import math

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior, GaussianPrior
from solvers.drive import drive
from solvers.mixture import ALPHA
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem, Query, SolverDiverged
from solvers.score_dvi_fast import Asked, FastSettings, antithetic, posterior_mean, score_dvi_fast
from solvers.symmetry import SYMMETRIES, apply
from tests.solvers.parts import lockstep, problem, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
SETTINGS = FastSettings(beta0=0.02, prior_weight=0.5, tolerance=0.0)
MU, VARIANCE, BETA = 0.6628111697, 0.0070751995, 0.0242291038
"""The fixed point for y = 0.7 and the prior N(0.4, 0.05)."""


def flat(value: float) -> Problem:
    operator = Identity((1, 20, 16))
    return Problem(torch.full((1, 1, 20, 16), value, dtype=torch.float64), operator, 0.0)


def settings(**changed) -> FastSettings:
    return FastSettings(**{**vars(SETTINGS), **changed})


def all_near(x: Tensor, value: float) -> bool:
    return torch.allclose(x, torch.full_like(x, value), atol=1e-8, rtol=0)


@pytest.mark.parametrize("components", [1, 3])
def test_the_fixed_point_of_a_gaussian_prior(components):
    """As descent on the loss of the paper finds it; equal components share it. Any noise will do."""
    solver = score_dvi_fast(flat(0.7), settings(sweeps=60, components=components), NoiseStream(3))
    solution = drive(solver, GaussianPrior(0.05, 0.4).denoise)
    assert all_near(solution.x, MU)
    assert all_near(solution.deviation.square(), VARIANCE)
    assert all_near(solution.noise_map.square(), BETA / ALPHA)


def test_on_the_house_scale_everything_doubles():
    """Section 4 of the specification is on [0, 1]: beta0 and variances are four times as large on [-1, 1]."""
    solver = score_dvi_fast(flat(2 * 0.7 - 1), settings(beta0=0.08, sweeps=60), NoiseStream(3))
    solution = drive(solver, GaussianPrior(0.2, 2 * 0.4 - 1).denoise)
    assert all_near(solution.x, 2 * MU - 1)
    assert all_near(solution.deviation, 2 * math.sqrt(VARIANCE))


def test_equal_components_are_one_whatever_the_denoiser():
    task = problem(Identity((3, 12, 16)))
    one, three = (
        drive(score_dvi_fast(task, settings(sweeps=5, components=count), NoiseStream(0)), MIXTURE.denoise)
        for count in (1, 3)
    )
    assert torch.allclose(one.x, three.x, atol=1e-12)
    assert torch.allclose(one.deviation, three.deviation, atol=1e-12)


def test_two_components_are_weighed_pixel_by_pixel():
    """The estimate lies between what either finds alone, and is nearer to the one that fits a pixel."""
    y = torch.cat([torch.full((1, 1, 20, 8), -0.6), torch.full((1, 1, 20, 8), 0.6)], -1).double()
    task, priors = Problem(y, Identity((1, 20, 16)), 0.0), (GaussianPrior(0.01, -0.6), GaussianPrior(0.01, 0.6))

    def denoise_by(query: Query) -> Tensor:
        return priors[query.component].denoise(query.x, query.sigma)

    solver = score_dvi_fast(task, settings(sweeps=10, components=2), NoiseStream(0))
    query, asked = next(solver), []
    with pytest.raises(StopIteration) as end:
        while True:
            asked.append((query.step, query.component))
            query = solver.send(denoise_by(query))
    assert asked == [(step, step % 2) for step in range(20)]
    one, two = (drive(score_dvi_fast(task, settings(sweeps=10), NoiseStream(0)), prior.denoise).x for prior in priors)
    x = end.value.value.x
    assert ((x > torch.minimum(one, two)) & (x < torch.maximum(one, two))).all()
    assert ((x - y).abs() < torch.minimum((one + y).abs(), (two + y).abs())).all()
    assert ((x - (one + two) / 2) * y > 0).all()


def test_the_slope_of_a_curved_denoiser():
    """J is E[D'(mu + s n)] (Stein's lemma), here against quadrature, where it is below its limit of 1."""
    mu, s = -0.2, 0.4
    n = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    at = (mu + s * n).reshape(-1, 1, 1, 1).requires_grad_()
    slope = torch.autograd.grad(MIXTURE.denoise(at, torch.full((len(n),), s)).sum(), at)[0].flatten()
    expected = float((slope * (-0.5 * n**2).exp()).sum() / (-0.5 * n**2).exp().sum())
    assert 0.3 < expected < 0.9
    mean = torch.full((1, 1, 192, 192), mu, dtype=torch.float64)
    pair = antithetic(mean, torch.full_like(mean, s), NoiseStream(1).normal(0, mean), Asked(0, 1, 0, mean, 0.0, 0))
    query = next(pair)
    with pytest.raises(StopIteration) as end:
        pair.send(MIXTURE.denoise(query.x, query.sigma))
    assert float(end.value.value[1].mean()) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("symmetry", ["none", "dihedral"])
def test_a_query_is_a_pair_of_rows_around_the_mean(symmetry):
    task, elements = problem(Identity((3, 12, 16))), SYMMETRIES[symmetry]
    solver = score_dvi_fast(task, settings(sweeps=9, symmetry=symmetry), NoiseStream(7))
    query = next(solver)
    for sweep in range(9):
        assert query.sigma.shape == (2, 1, *query.x.shape[-2:]) and query.component == 0 and query.total == 9
        assert torch.equal(query.mean()[:1], apply(query.estimate, elements[sweep % len(elements)]))
        plus, minus = query.x - query.mean()
        assert torch.allclose(plus, -minus, atol=1e-12)
        drawn = apply(NoiseStream(7).normal(sweep, task.measurement), elements[sweep % len(elements)])
        level = plus / drawn[0]
        assert (level > 0).all()
        expected = level.square().mean(0).sqrt().expand(2, 1, -1, -1)  # one level for the channels of a pixel
        assert torch.allclose(query.sigma, expected, atol=1e-9)
        answer = MIXTURE.denoise(query.x, query.sigma)
        query = solver.send(answer) if sweep < 8 else None


def test_no_noise_is_taken_to_be_weaker_than_the_limit():
    solution = drive(score_dvi_fast(problem(Identity((3, 12, 16))), SETTINGS, NoiseStream(0)), MIXTURE.denoise)
    assert (solution.noise_map >= math.sqrt(SETTINGS.beta0 / ALPHA)).all()


def test_the_sweeps_end_when_the_estimate_rests():
    """Not before: the last step is the first that is smaller than the tolerance."""
    task = problem(Identity((3, 12, 16)))
    asked, solution = queries(score_dvi_fast(task, settings(tolerance=0.1), NoiseStream(0)), MIXTURE.denoise)
    sweeps = len(asked)
    assert 2 < sweeps < 12 and solution.metrics["sweeps"] == sweeps
    estimates = [query.estimate for query in asked] + [solution.x]
    moves = [float((b - a).square().mean().sqrt()) for a, b in zip(estimates, estimates[1:], strict=False)]
    assert moves[-1] < 0.1 * float(solution.deviation.square().mean().sqrt()) < moves[-2]
    all_of_them, _ = queries(score_dvi_fast(task, SETTINGS, NoiseStream(0)), MIXTURE.denoise)
    assert len(all_of_them) == SETTINGS.sweeps


def test_a_picture_is_the_same_alone_and_in_company():
    task, other = problem(Identity((3, 12, 16))), problem(Identity((3, 12, 16)), sigma_y=0.3)
    start = lambda one, seed: score_dvi_fast(one, settings(sweeps=4), NoiseStream(seed))  # noqa: E731
    together = lockstep([start(task, 0), start(other, 1)], MIXTURE.denoise)
    assert torch.allclose(together[0], drive(start(task, 0), MIXTURE.denoise).x, atol=1e-12)
    assert torch.allclose(together[1], drive(start(other, 1), MIXTURE.denoise).x, atol=1e-12)


@pytest.mark.parametrize("start", [score_dvi_fast, posterior_mean])
def test_a_number_that_is_not_finite_ends_the_run(start):
    solver = start(problem(Identity((3, 12, 16))), SETTINGS, NoiseStream(0))
    query = next(solver)
    with pytest.raises(SolverDiverged, match="the denoised image is not finite at step 0"):
        solver.send(query.x * math.nan)


def test_white_noise_has_the_posterior_of_tweedie():
    """Mean D(y, sigma) and variance sigma^2 D'(y), up to the jitter's share of the noise."""
    task, prior = problem(Identity((3, 12, 16)), 0.2), GaussianPrior(0.25)
    asked, solution = queries(posterior_mean(task, settings(sweeps=3), NoiseStream(0)), prior.denoise)
    assert torch.allclose(solution.x, 0.25 / (0.25 + 0.04) * task.measurement, rtol=0.01)
    assert torch.allclose(solution.deviation**2, torch.tensor(0.25 * 0.04 / 0.29, dtype=torch.float64), rtol=0.01)
    assert all(query.mean is None and len(query.x) == 2 for query in asked)
    assert torch.equal(solution.noise_map, torch.full_like(solution.x, 0.2))
