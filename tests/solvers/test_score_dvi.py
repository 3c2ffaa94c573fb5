"""What the noise decides: beta0, lambda and the way that is taken (algorithms.md 4.6, 11.9)."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior, GaussianPrior
from solvers.diffusion_vi import DiffusionSettings, diffusion_vi
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.noise_features import COLOUR, residual_features
from solvers.noise_level import estimate_sigma
from solvers.noise_reading import Noise, read_noise
from solvers.noise_weights import WEIGHTS, Reading, Weight
from solvers.operators import Identity, Mask
from solvers.photograph import photograph_mean
from solvers.query import Problem, Solution
from solvers.score_dvi import (
    KAPPA,
    PAPER_KAPPA,
    WHITE_SWEEPS,
    ScoreDviParameters,
    prior_weight,
    published_weight,
    score_dvi,
    settings_of,
    split_level,
)
from solvers.score_dvi_fast import FastSettings, score_dvi_fast
from solvers.score_dvi_paper import PaperSettings, score_dvi_paper
from solvers.weak_texture import weak_texture_sigma
from tests.solvers.parts import psnr2, queries
from tests.solvers.test_camera_noise import noise, true_b8
from tests.solvers.test_noise_level import picture, quantised
from tests.solvers.test_noise_reading import in_blocks

PRIOR = GaussianPrior(0.25)
TASK = Problem(torch.zeros(1, 3, 32, 32), Identity((3, 32, 32)), 0.0)
FOUND = Noise(sigma=0.1, b8=6.0, white=False)


def task(noisy: Tensor, sigma_y: float = 0.0) -> Problem:
    return Problem(noisy, Identity(tuple(noisy.shape[1:])), sigma_y)


def solve(noisy: Tensor, sigma_y: float = 0.0, **params) -> Solution:
    return drive(score_dvi(task(noisy, sigma_y), ScoreDviParameters(**params), NoiseStream(0)), PRIOR.denoise)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sweeps", 0),
        ("sweeps", 101),
        ("components", 0),
        ("components", 9),
        ("prior_weight", 0.0),
        ("prior_weight", math.nan),
        ("beta0", 0.0),
        ("beta0", 1e-38),
        ("temperature", 1e-38),
        ("beta0", math.inf),
        ("tolerance", -0.1),
        ("symmetry", "octahedral"),
        ("mode", "slow"),
    ],
)
def test_a_parameter_out_of_bounds_is_named(name, value):
    with pytest.raises(ValueError, match=f"^{name}: "):
        ScoreDviParameters(**{name: value})


@pytest.mark.parametrize(
    ("mode", "name", "value"),
    [
        ("fast", "iterations", 10),
        ("fast", "steps", 10),
        ("paper", "sweeps", 4),
        ("paper", "temperature", 0.5),
        ("diffusion", "components", 1),
        ("diffusion", "prior_weight", 1.0),
        ("diffusion", "learning_rate", 0.1),
    ],
)
def test_a_parameter_of_another_mode_is_named(mode, name, value):
    with pytest.raises(ValueError, match=f"^{name}: not a parameter of mode '{mode}'"):
        ScoreDviParameters(mode=mode, **{name: value})


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (0.0, 1.0),
        (7, 1.0),
        (18, 1.0),
        (math.sqrt(18 * 35), 2**0.5),
        (35, 2.0),
        (90, 2.0),
    ],
)
def test_stronger_noise_has_a_stronger_prior(level, expected):
    assert prior_weight(level / 127.5) == pytest.approx(expected)


def test_beta0_is_the_energy_of_noise_that_averaging_leaves():
    chosen = settings_of(ScoreDviParameters(), TASK, FOUND)
    assert chosen.beta0 == pytest.approx(KAPPA * 0.1**2 * 6)
    assert chosen.prior_weight == prior_weight(0.1)
    twice = settings_of(ScoreDviParameters(), TASK, dataclasses.replace(FOUND, sigma=0.2))
    assert twice.beta0 == pytest.approx(4 * chosen.beta0)


def test_what_is_given_is_kept():
    params = ScoreDviParameters(sweeps=5, components=2, prior_weight=3.0, beta0=0.3, tolerance=0.0, symmetry="mirror")
    assert settings_of(params, TASK, FOUND) == FastSettings(0.3, 3.0, 5, 2, 0.0, "mirror")


@pytest.mark.parametrize("beta0", [None, 0.05])
@pytest.mark.parametrize("reads", [False, True])
def test_correlated_noise_is_that_of_a_photograph(beta0, reads):
    """The direct way is for a denoiser whose answers to such noise are known, unless sweeps alone are asked for."""
    noisy, reading = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 5, 0), reading_that_finds(9.0) if reads else None
    params = ScoreDviParameters(beta0=beta0)
    solution = drive(score_dvi(task(noisy), params, NoiseStream(0), reading), PRIOR.denoise)
    found = drive(read_noise(task(noisy), reading), PRIOR.denoise)
    told = found.told if reads and beta0 is None else 0.0
    settings = settings_of(params, task(noisy), found)
    alone = drive(photograph_mean(task(noisy), settings, told, NoiseStream(0)), PRIOR.denoise)
    assert torch.equal(solution.x, alone.x) and torch.equal(solution.deviation, alone.deviation)


@pytest.mark.parametrize("mode", ["white", "paper", "diffusion"])
def test_all_other_is_no_photograph(mode, monkeypatch):
    monkeypatch.setattr("solvers.score_dvi.photograph_mean", lambda *_: pytest.fail("a photograph"))
    short = {
        "white": {"sweeps": 1},
        "paper": {"mode": "paper", "iterations": 2},
        "diffusion": {"mode": "diffusion", "steps": 2},
    }
    solve(0.6 * picture(96, 96) + 0.15 * noise(96, 96, 1, 0), **short[mode])


def reading_that_finds(odds: float) -> Reading:
    names = [*WEIGHTS[COLOUR], *residual_features(torch.ones(1, 3, 32, 32), 0.1, "once")]
    names += residual_features(torch.ones(1, 3, 32, 32), 0.1, "twice")
    return Reading({COLOUR: {name: Weight(0.0, 0.0, odds if name == "one" else 0.0) for name in names}})


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("mode", ["fast", "paper", "diffusion"])
def test_noise_in_doubt_is_taken_off_in_part(mode, length):
    """As the mean of the picture as it is and of the picture without noise, by their probabilities."""
    noisy = 0.6 * picture(96, 96) + 0.05 * noise(96, 96, length, 0)
    short = {"fast": {}, "paper": {"iterations": 2}, "diffusion": {"steps": 2}}[mode]
    params = ScoreDviParameters(mode, **short)
    certain, doubtful, clean = (
        drive(score_dvi(task(noisy), params, NoiseStream(0), reading_that_finds(odds)), PRIOR.denoise)
        for odds in (9.0, 1.0, -9.0)
    )
    probability = doubtful.metrics["noise_probability"]
    assert probability == pytest.approx(math.e / (1 + math.e))
    assert [certain.metrics["noise_probability"], clean.metrics["noise_probability"]] == [1.0, 0.0]
    assert torch.equal(clean.x, noisy)
    assert torch.allclose(doubtful.x, noisy.lerp(certain.x, probability), atol=1e-6)
    if mode == "diffusion":
        assert doubtful.deviation is None  # it has none, and a part of one would be none
    else:
        variance = certain.deviation.square() + (1 - probability) * (noisy - certain.x).square()
        assert torch.allclose(doubtful.deviation, (probability * variance).sqrt(), rtol=1e-4)


def test_a_given_beta0_leaves_no_doubt():
    noisy = 0.6 * picture(96, 96) + 0.05 * noise(96, 96, 5, 0)
    params = ScoreDviParameters(beta0=0.05)
    certain, clean = (
        drive(score_dvi(task(noisy), params, NoiseStream(0), reading_that_finds(odds)), PRIOR.denoise)
        for odds in (9.0, -9.0)
    )
    assert torch.equal(certain.x, clean.x) and clean.metrics["noise_probability"] == 1


@pytest.mark.parametrize(("level", "expected"), [(0, 0.5), (10.99, 0.5), (11.0, 1), (25.99, 1), (26.0, 2), (90, 2)])
def test_published_weights_go_by_whole_levels(level, expected):
    assert published_weight(level) == expected


def test_settings_of_the_paper():
    chosen = settings_of(ScoreDviParameters(mode="paper"), TASK, FOUND)
    assert chosen == PaperSettings(beta0=pytest.approx(PAPER_KAPPA * 0.1**2 * 6), prior_weight=1.0)  # 12.75 of 255
    params = ScoreDviParameters(
        mode="paper", components=3, prior_weight=3.0, beta0=0.3, iterations=7, draws=2, learning_rate=0.1
    )
    assert settings_of(params, TASK, FOUND) == PaperSettings(0.3, 3.0, 3, 7, 2, 0.1)


def test_settings_of_the_diffusion():
    energy = FOUND.sigma**2 * FOUND.b8
    assert settings_of(ScoreDviParameters(mode="diffusion"), TASK, FOUND) == DiffusionSettings(beta0=energy)
    params = ScoreDviParameters(mode="diffusion", beta0=0.3, steps=7, temperature=1.0)
    assert settings_of(params, TASK, FOUND) == DiffusionSettings(0.3, 7, 1.0)


def test_the_level_of_the_published_weight():
    """As given; as in weak texture of every fourth pixel; as found where there are too few."""
    noisy = (0.6 * picture(160, 160) + 0.15 * noise(160, 160, 1, 0))[:, :1]
    assert split_level(task(noisy, 0.2), in_blocks(noisy, 0.2)) == pytest.approx(25.5)
    assert split_level(task(noisy), FOUND) == pytest.approx(127.5 * weak_texture_sigma(noisy))
    assert split_level(task(noisy[..., :64, :64]), FOUND) == pytest.approx(12.75)


@pytest.mark.parametrize("mode", ["paper", "diffusion"])
def test_other_modes_are_their_own_solvers(mode):
    """For white noise too; but a clean picture comes back."""
    known = task(0.6 * picture(32, 32) + 0.15 * noise(32, 32, 1, 0), 0.15)
    params = ScoreDviParameters(mode)
    solver = {"paper": score_dvi_paper, "diffusion": diffusion_vi}[mode]
    query = next(score_dvi(known, params, NoiseStream(3)))
    alone = next(solver(known, settings_of(params, known, in_blocks(known.measurement, known.sigma_y)), NoiseStream(3)))
    assert torch.equal(query.x, alone.x) and query.total == alone.total == {"paper": 800, "diffusion": 100}[mode]
    clean = quantised(picture(128, 128))
    assert torch.equal(solve(clean, mode=mode).x, clean)


@pytest.mark.parametrize("tone", [1.0, 0.9])
@pytest.mark.parametrize("sigma_y", [0.0, 0.2])
@pytest.mark.parametrize("length", [1, 5])
def test_of_a_grey_picture_a_denoiser_is_told_the_level_of_one_measurement(length, sigma_y, tone):
    """And of one that was grey before it was toned, whether the level is read or given."""
    noisy = (0.6 * picture(96, 96) + 0.15 * noise(96, 96, length, 0))[:, :1] * torch.tensor([1, 1, tone])[:, None, None]
    found, solution = in_blocks(noisy, sigma_y), solve(noisy, sigma_y)
    raised = 3**0.5
    assert found.raised == raised and found.told == raised * found.sigma
    assert solution.metrics["noise_sigma"] == found.sigma
    if found.white:
        assert float(solution.noise_map.mean()) == pytest.approx(found.sigma)
    else:
        assert solution.settings["beta0"] == pytest.approx(KAPPA * found.told**2 * found.b8)
        settings = settings_of(ScoreDviParameters(), task(noisy, sigma_y), found)
        before = drive(score_dvi_fast(task(noisy), settings, NoiseStream(0)), PRIOR.denoise)
        assert torch.allclose(solution.noise_map, before.noise_map / raised)


def test_a_given_level_is_not_raised_for_what_only_may_be_grey_noise():
    """Though it is where the level is read: colours show less than grey does, for texture or for such noise."""
    noisy = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 5, 0)[:, :1]
    assert (in_blocks(noisy).raised, in_blocks(noisy, 0.2).raised) == (3**0.5, 1.0)


def test_the_level_that_the_paper_goes_by_is_raised():
    noisy = 0.6 * picture(160, 160) + 0.15 * noise(160, 160, 1, 0)
    raised = dataclasses.replace(FOUND, raised=3.0)
    assert split_level(task(noisy), raised) == pytest.approx(3 * 127.5 * weak_texture_sigma(noisy))
    assert split_level(task(noisy[..., :64, :64]), raised) == pytest.approx(3 * 127.5 * FOUND.sigma)


def test_metrics_are_those_of_the_noise_and_of_the_solver():
    noisy = 0.6 * picture(32, 32) + 0.15 * noise(32, 32, 1, 0)
    found = {"noise_sigma": 0.15, "noise_b8": in_blocks(noisy).b8, "noise_probability": 1.0}
    assert solve(noisy, 0.15, mode="diffusion", steps=4).metrics == found | {"steps": 4.0}


def test_correlated_noise_takes_sweeps():
    noisy = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 5, 0)
    asked, solution = queries(score_dvi(task(noisy), ScoreDviParameters(), NoiseStream(0)), PRIOR.denoise)
    assert all(query.mean is not None for query in asked)  # priors on latents want it
    assert solution.metrics["noise_sigma"] == pytest.approx(0.15, rel=0.3)
    assert solution.metrics["noise_b8"] > 4
    assert solution.metrics["sweeps"] == len(asked)
    assert [query.step for query in asked] == list(range(len(asked)))


def test_white_noise_is_removed_directly():
    noisy = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 1, 0)
    asked, solution = queries(score_dvi(task(noisy), ScoreDviParameters(), NoiseStream(0)), PRIOR.denoise)
    sigma = estimate_sigma(noisy)
    assert len(asked) == WHITE_SWEEPS and all(query.mean is None for query in asked)
    assert solution.metrics["noise_sigma"] == sigma
    assert torch.allclose(solution.x, 0.25 / (0.25 + sigma**2) * noisy, atol=2e-3)


def test_a_given_level_is_believed():
    noisy = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 5, 0)
    assert solve(noisy, sigma_y=0.3).metrics["noise_sigma"] == 0.3
    assert solve(noisy, sigma_y=0.3).data_residual > solve(noisy, sigma_y=0.1).data_residual


def test_a_given_beta0_is_a_wish_for_sweeps():
    noisy = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 1, 0)
    asked, _ = queries(score_dvi(task(noisy), ScoreDviParameters(beta0=0.1), NoiseStream(0)), PRIOR.denoise)
    assert all(query.mean is not None for query in asked)


def test_a_clean_picture_comes_back_as_it_is():
    clean = quantised(picture(128, 128))
    solution = solve(clean)
    assert torch.equal(solution.x, clean)
    assert solution.metrics["sweeps"] == 0


@pytest.mark.parametrize("bad", ["operator", "rows"])
def test_only_one_picture_and_only_denoising(bad):
    y = torch.zeros(1 if bad == "operator" else 2, 3, 32, 32)
    operator = Mask(torch.ones(32, 32, dtype=torch.bool), 3) if bad == "operator" else Identity((3, 32, 32))
    with pytest.raises(ValueError, match="one picture"):
        next(score_dvi(Problem(y, operator, 0.1), ScoreDviParameters(), NoiseStream(0)))


def test_camera_noise_that_one_pass_leaves_is_removed():
    """An exact denoiser of smooth fields takes correlated noise for a field; the posterior's own noise hides it."""
    side, sigma = 32, 0.1
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    fields = DenseGaussianPrior(torch.zeros(side**2), 0.1 * (-0.5 * (torch.cdist(at, at) / 4).square()).exp())
    drawn = torch.randn(side**2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    clean = (fields.basis @ (fields.variances.sqrt() * drawn)).reshape(1, 1, side, side)
    noisy = clean + sigma * noise(side, side, 5, 0)[:, :1].double()
    params = ScoreDviParameters(beta0=KAPPA * sigma**2 * true_b8(5), prior_weight=1.0)
    solution = drive(score_dvi(task(noisy, sigma), params, NoiseStream(0)), fields.denoise)
    one_pass = fields.denoise(noisy, torch.tensor([sigma]))
    assert psnr2(solution.x, clean) > psnr2(one_pass, clean) + 0.5
    assert psnr2(one_pass, clean) > psnr2(noisy, clean)
    error = (solution.x - clean) / solution.deviation
    assert 0.5 < float(error.square().mean().sqrt()) < 2
