"""ScoreDVI as published: its queries, its scale, its average, its second run (algorithms.md 4.4, 4.5)."""

import math

import pytest
import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem, Solution, SolverDiverged
from solvers.score_dvi_loss import loss, samples, scores
from solvers.score_dvi_networks import networks
from solvers.score_dvi_paper import FAILED, WEIGHTS_DRAW, PaperSettings, Training, score_dvi_paper
from tests.solvers.parts import lockstep, psnr2, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
SETTINGS = PaperSettings(beta0=0.08, prior_weight=0.5, iterations=3, draws=2, width=4)


def settings(**changed) -> PaperSettings:
    return PaperSettings(**{**vars(SETTINGS), **changed})


def task(channels: int, height: int, width: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Problem:
    y = 0.3 * torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(seed))
    return Problem(y.to(dtype), Identity((channels, height, width)), 0.0)


def solve(problem: Problem, seed: int = 0, **changed) -> Solution:
    return drive(score_dvi_paper(problem, settings(**changed), NoiseStream(seed)), MIXTURE.denoise)


def test_a_query_is_what_the_networks_drew_for_one_component():
    problem = task(3, 9, 12)
    solver = score_dvi_paper(problem, settings(components=2, draws=4), NoiseStream(7))
    asked, _ = queries(solver, MIXTURE.denoise)
    assert [query.step for query in asked] == list(range(12))  # the first run has failed: three iterations are few
    assert [query.component for query in asked] == [0, 1] * 6
    assert [query.total for query in asked] == [12] * 12
    assert torch.equal(asked[0].estimate, problem.measurement)
    for query in asked:
        assert query.x.shape == query.mean().shape == (4, 3, 9, 12)
        assert query.sigma.shape == (4, 1, 9, 12)
        drawn = NoiseStream(7).normal(query.step, query.x)
        level = (query.x - query.mean()) / drawn  # of every value; that of a pixel is their root mean square
        assert torch.allclose(level.square().mean(1, keepdim=True).sqrt(), query.sigma, rtol=0.02)
        misfit = float((problem.measurement - query.estimate).square().mean().sqrt())
        assert query.data_residual == pytest.approx(misfit)


def test_the_answer_is_what_the_unit_scale_would_give():
    """The algorithm box in a plain loop on [0, 1], beta0 a quarter."""
    problem, noise = task(1, 8, 10, dtype=torch.float64), NoiseStream(3)
    y = (problem.measurement + 1) / 2
    solution = solve(problem, seed=3, beta0=0.08, iterations=4, learning_rate=0.01)
    spreads, averages = [], []
    for first in (0, 4):
        made = networks(1, 1, y, noise.generator(first, WEIGHTS_DRAW), width=4)
        adam, average = torch.optim.Adam(made.parameters(), 0.01), y
        for step in range(first, first + 4):
            factors, n = made(y), noise.normal(step, y.expand(2, -1, -1, -1))[:, None]
            z = samples(factors, n).detach()
            level = 2 * factors.variance.sqrt().detach()
            denoised = (MIXTURE.denoise(2 * z[:, 0] - 1, level.expand(2, -1, -1, -1))[:, None] + 1) / 2
            adam.zero_grad()
            loss(factors, y[0], n, scores(factors, z, denoised), 0.02, 0.5).backward()
            adam.step()
            average = 0.9 * average + 0.1 * factors.moments()[0].detach()[None]
        averages.append(average)
        spreads.append(factors.variance.sqrt().mean().item())
    kept = min(range(2), key=spreads.__getitem__)
    assert min(spreads) > FAILED and solution.metrics == {"iterations": 8.0, "reruns": 1.0}
    assert torch.allclose(solution.x, 2 * averages[kept] - 1, atol=1e-12)
    assert float(solution.deviation.mean()) == pytest.approx(2 * spreads[kept])


def test_the_average_begins_at_the_picture():
    """Of networks that stand still: 0.9^n of it are left."""
    y = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    training = Training(y, settings(learning_rate=0.0), NoiseStream(0).generator(0))
    for step in range(10):
        at = training.propose(NoiseStream(0).normal(step, y.expand(2, 1, -1, -1, -1)))
        training.learn(at)
    still = training.factors.moments()[0].detach()
    assert torch.allclose(training.average, still + 0.9**10 * (y - still), atol=1e-5)
    assert torch.equal(training.fit().mean, training.average)


def test_of_two_runs_the_surer_one_is_kept():
    surer = set()
    for seed in range(5):
        solver = score_dvi_paper(task(1, 8, 8), settings(iterations=1), NoiseStream(seed))
        asked, solution = queries(solver, MIXTURE.denoise)
        first, second = (float(query.sigma.mean()) for query in asked)
        assert float(solution.deviation.mean()) == pytest.approx(min(first, second))
        surer.add(first < second)
    assert surer == {True, False}


def test_a_run_that_has_not_failed_is_not_repeated(monkeypatch):
    monkeypatch.setattr("solvers.score_dvi_paper.FAILED", 10.0)
    assert solve(task(1, 8, 8)).metrics == {"iterations": 3.0, "reruns": 0.0}
    solver = score_dvi_paper(task(1, 10, 20), settings(tile=12, overlap=4), NoiseStream(0))
    asked, _ = queries(solver, MIXTURE.denoise)
    assert [query.total for query in asked] == [12] * 3 + [9] * 3  # as if the rest had to be repeated


def test_it_learns_whatever_the_mode_of_whoever_drives_it():
    """And leaves that as it was; nothing is differentiated through the denoiser."""
    modes = []

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        modes.append((torch.is_grad_enabled(), x.requires_grad))
        return MIXTURE.denoise(x, sigma)

    def plain(solver) -> Solution:
        try:
            query = next(solver)
            while True:
                query = solver.send(denoise(query.x, query.sigma))
        except StopIteration as end:
            return end.value

    start = lambda: score_dvi_paper(task(3, 8, 8), SETTINGS, NoiseStream(0))  # noqa: E731
    with torch.inference_mode():
        inference = plain(start())
    with torch.no_grad():
        without = plain(start())
    assert not any(enabled or required for enabled, required in modes)
    assert not torch.is_inference_mode_enabled() and torch.is_grad_enabled()
    assert torch.equal(inference.x, without.x)
    assert not torch.equal(without.x, solve(task(3, 8, 8), learning_rate=1e-9).x)
    assert not plain(start()).x.requires_grad and not any(required for _, required in modes)


def test_the_seed_alone_decides():
    problem, state = task(3, 8, 8), torch.get_rng_state()
    first, other = solve(problem, seed=0), solve(problem, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert torch.equal(solve(problem, seed=0).x, first.x)
    torch.set_rng_state(state)
    assert not torch.equal(first.x, other.x)
    company = [(problem, NoiseStream(0)), (task(3, 8, 8, 1), NoiseStream(1))]
    together = lockstep([score_dvi_paper(one, SETTINGS, noise) for one, noise in company], MIXTURE.denoise)
    assert torch.allclose(together[0], first.x, atol=1e-6)


def test_tiles_are_solved_one_after_the_other():
    """Each as a picture of its own, seen in the estimate of the whole."""
    problem = task(1, 10, 20)
    y, solver = problem.measurement, score_dvi_paper(problem, settings(tile=12, overlap=4), NoiseStream(0))
    asked, solution = queries(solver, MIXTURE.denoise)
    assert all(query.x.shape == (2, 1, 10, 12) for query in asked)
    assert all(query.estimate.shape == y.shape == solution.x.shape for query in asked)
    assert len(asked) == 12 and asked[0].total == 12 and asked[-1].total == 12
    left = solve(Problem(y[..., :12], Identity((1, 10, 12)), 0.0))
    assert torch.allclose(solution.x[..., :8], left.x[..., :8], atol=1e-6)
    assert torch.equal(asked[4].estimate[..., 12:], y[..., 12:])
    assert not torch.equal(asked[10].estimate[..., 12:], y[..., 12:])
    assert solution.deviation.shape == solution.noise_map.shape == y.shape


@pytest.mark.parametrize("size", [(1, 5, 3), (3, 33, 17)])
def test_pictures_of_any_size(size):
    solution = solve(task(*size), iterations=1)
    assert solution.x.shape == solution.deviation.shape == solution.noise_map.shape == (1, *size)
    assert (solution.deviation > 0).all() and (solution.noise_map > 0).all()


def test_a_smooth_field_is_nearly_as_its_posterior_mean():
    """By a short run; the noise is found too."""
    side, sigma = 24, 0.2
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    prior = DenseGaussianPrior(torch.zeros(side**2), 0.1 * (-0.5 * (torch.cdist(at, at) / 4).square()).exp())
    drawn = torch.randn(side**2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    clean = (prior.basis @ (prior.variances.sqrt() * drawn)).reshape(1, 1, side, side).float()
    problem = Problem(clean + sigma * NoiseStream(5).normal(0, clean), Identity((1, side, side)), 0.0)
    chosen = settings(beta0=sigma**2, prior_weight=1.0, iterations=80, learning_rate=0.01, width=8)
    solution = drive(score_dvi_paper(problem, chosen, NoiseStream(1)), prior.denoise)
    best = prior.denoise(problem.measurement, torch.tensor([sigma]))
    assert psnr2(problem.measurement, clean) + 6 < psnr2(solution.x, clean) < psnr2(best, clean)
    assert float(solution.noise_map.mean()) == pytest.approx(sigma, rel=0.2)


def test_a_number_that_is_not_finite_ends_the_run():
    solver = score_dvi_paper(task(3, 8, 8), SETTINGS, NoiseStream(0))
    query = solver.send(GaussianPrior(0.25).denoise((first := next(solver)).x, first.sigma))
    with pytest.raises(SolverDiverged, match="the denoised image is not finite at step 1"):
        solver.send(query.x * math.nan)
