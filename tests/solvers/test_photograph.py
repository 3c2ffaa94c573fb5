"""What is made of a photograph beside the sweeps."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.cameras import CAMERAS, expose
from benchmarks.served import served
from priors.analytic import GaussianPrior
from service.settings import Settings
from solvers.development import brightened
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.noise_reading import WEAKEST
from solvers.operators import Identity
from solvers.photograph import DEVIATION, DIRECT, TOLD, UNTOUCHED, doubted, photograph_mean, resized
from solvers.query import Problem, Query, Solution, Solver, SolverDiverged
from solvers.score_dvi import KAPPA, prior_weight
from solvers.score_dvi_fast import FastSettings, score_dvi_fast
from tests.solvers.parts import psnr2, queries
from tests.solvers.test_camera_noise import noise, true_b8
from tests.solvers.test_development import developed, slopes
from tests.solvers.test_noise_reading import photographs

PRIOR = GaussianPrior(0.25)
NOISY = developed(slopes(128, 192) + 0.04 * noise(128, 192, 5, seed=1))
SETTINGS = FastSettings(beta0=0.05, prior_weight=1.0)


def problem(noisy: Tensor) -> Problem:
    return Problem(noisy, Identity(tuple(noisy.shape[1:])), 0.0)


def swept(noisy: Tensor, settings: FastSettings = SETTINGS) -> tuple[list[Query], Solution]:
    return queries(score_dvi_fast(problem(noisy), settings, NoiseStream(0)), PRIOR.denoise)


def solved(noisy: Tensor, told: float = 0.1, settings: FastSettings = SETTINGS) -> tuple[list[Query], Solution]:
    return queries(photograph_mean(problem(noisy), settings, told, NoiseStream(0)), PRIOR.denoise)


def passed(noisy: Tensor, level: float) -> Tensor:
    return 0.25 / (0.25 + level**2) * noisy


@pytest.mark.parametrize(("size", "small"), [((128, 192), (32, 48)), ((90, 71), (22, 18)), ((40, 12), (16, 12))])
def test_it_is_the_mean_of_the_sweeps_and_the_direct_way_and_as_bright_as_the_light_was(size, small):
    noisy = NOISY[..., : size[0], : size[1]]
    (sweeps, before), (asked, after) = swept(noisy), solved(noisy)
    assert len(asked) == len(sweeps) + 2
    assert [query.x.shape for query in asked[-2:]] == [noisy.shape, (1, 3, *small)]
    removed = noisy - before.x
    left = float((resized(removed, small).square().mean() / removed.square().mean()).sqrt())
    direct, coarse = passed(noisy, TOLD * 0.1), passed(resized(noisy, small), left * 0.1)
    direct = direct + resized(coarse - resized(direct, small), size)
    assert torch.allclose(after.x, brightened(before.x.lerp(direct, DIRECT), noisy), atol=1e-5)
    assert after.data_residual == pytest.approx(float((noisy - after.x).square().mean().sqrt()))
    assert torch.equal(after.deviation, DEVIATION * before.deviation)
    assert torch.equal(after.noise_map, before.noise_map) and after.metrics == before.metrics


def test_of_correlated_noise_a_smaller_picture_has_less():
    """By as much as is found in what the sweeps took off."""
    asked, _ = solved(0.1 * noise(256, 256, 5, 0))
    assert float(asked[-1].sigma) == pytest.approx(0.1 * true_b8(5) ** 0.5 / 4, rel=0.35)
    white, _ = solved(0.1 * noise(256, 256, 1, 0))
    assert float(white[-1].sigma) == pytest.approx(0.1 / 4, rel=0.25)


@pytest.mark.parametrize("settings", [SETTINGS, FastSettings(0.05, 1.0, 5, components=2, tolerance=0.0)])
def test_queries_are_counted_and_show_the_picture_in_its_own_size(settings):
    asked, solution = solved(NOISY, settings=settings)
    assert [query.step for query in asked] == list(range(len(asked)))
    shares = [query.step / query.total for query in asked]
    assert shares == sorted(shares) and asked[-1].total == len(asked)
    assert all(query.estimate.shape == NOISY.shape for query in asked)
    assert [query.component for query in asked[-2:]] == [0, 0]


def test_a_prior_on_latents_is_told_what_the_sweeps_found():
    """In place of the picture without noise, that nobody knows."""
    asked, _ = solved(NOISY)
    assert torch.equal(asked[-2].mean(), swept(NOISY)[1].x)
    assert asked[-1].mean().shape == asked[-1].x.shape


def test_of_no_noise_there_is_no_direct_way():
    (sweeps, before), (asked, after) = swept(NOISY), solved(NOISY, told=0.0)
    assert len(asked) == len(sweeps)
    assert torch.equal(after.x, brightened(before.x, NOISY))
    asked, _ = solved(NOISY, told=1e-4)
    assert [float(query.sigma) for query in asked[-2:]] == pytest.approx([WEAKEST, WEAKEST])


@pytest.mark.parametrize("bad", [-1, -2])
def test_an_answer_that_is_not_finite_ends_it(bad):
    number = len(solved(NOISY)[0]) + bad
    calls = iter(range(100))
    with pytest.raises(SolverDiverged) as caught:
        queries(
            photograph_mean(problem(NOISY), SETTINGS, 0.1, NoiseStream(0)),
            lambda x, sigma: PRIOR.denoise(x, sigma) * (math.nan if next(calls) == number else 1.0),
        )
    assert caught.value.step == number


def test_the_mean_is_nearer_to_photographs_than_the_sweeps():
    """With the default denoiser, on average over all cameras."""
    denoiser = served(Settings().default_denoiser)
    gains = []
    for seed, camera in enumerate(CAMERAS):
        noisy, truth = expose(camera, photographs()[1][..., :128, :128], seed)
        sigma, energy = float((noisy - truth).std()), 64 * float(functional.avg_pool2d(noisy - truth, 8, 4).var())
        settings = FastSettings(KAPPA * energy, prior_weight(sigma))
        with torch.inference_mode():
            solvers = score_dvi_fast, partial(photograph_mean, told=sigma)
            runs = [solver(problem(noisy), settings, noise=NoiseStream(0)) for solver in solvers]
            before, after = (drive(run, denoiser.denoise).x for run in runs)
        gains.append(psnr2(after, truth) - psnr2(brightened(before, noisy), truth))
    assert sum(gains) / len(gains) > 0.2


def found_at_once(solution: Solution) -> Solver:
    yield from ()
    return solution


@pytest.mark.parametrize(("probability", "removed"), [(0.3, 0.003), (0.3, 0.7), (0.7, 0.7)])
def test_moments_of_a_picture_that_may_be_as_it_is(probability, removed):
    """Against draws; and what is rather clean changes by no half of a level of 255."""
    rng = torch.Generator().manual_seed(0)
    y, x = torch.tensor(0.5), torch.tensor(0.5 - removed)
    restored = x + 0.3 * removed * torch.randn(200_000, generator=rng)
    draws = restored.where(torch.rand(200_000, generator=rng) < probability, y)
    found = queries(
        doubted(found_at_once(Solution(x, removed, deviation=torch.tensor(0.3 * removed))), y, probability),
        PRIOR.denoise,
    )[1]
    bound = UNTOUCHED if probability < 0.5 else 2.0
    assert float(y - found.x) == pytest.approx(min(probability * removed, bound), rel=1e-3)
    error = (draws - found.x).square().mean().sqrt()  # to what is true, from what is answered
    assert float(found.deviation) == pytest.approx(float(error), rel=0.01)
    assert found.data_residual == pytest.approx(float(y - found.x), rel=1e-3)
    assert queries(doubted(found_at_once(Solution(x, removed)), y, probability), PRIOR.denoise)[1].deviation is None


@pytest.mark.parametrize("probability", [0.2, 0.8])
def test_in_doubt_a_preview_shows_no_more_taken_off_than_the_result_will(probability):
    sweeps = partial(score_dvi_fast, problem(NOISY), FastSettings(0.05, 1.0, sweeps=3, tolerance=0.0))
    certain, _ = queries(sweeps(NoiseStream(0)), PRIOR.denoise)
    asked, _ = queries(doubted(sweeps(NoiseStream(0)), NOISY, probability), PRIOR.denoise)
    for query, before in zip(asked[1:], certain[1:], strict=True):
        assert torch.equal(query.x, before.x)
        most = UNTOUCHED if probability < 0.5 else probability * before.data_residual
        assert query.data_residual == pytest.approx(most)
        assert float((NOISY - query.estimate).square().mean().sqrt()) == pytest.approx(most, rel=1e-4)
