"""What the noise decides: beta0, lambda and the way that is taken (algorithms.md 4.6, 11.9)."""

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior, GaussianPrior
from solvers.camera_noise import CameraNoise
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.noise_level import estimate_sigma
from solvers.operators import Identity, Mask
from solvers.query import Problem, Solution
from solvers.score_dvi import KAPPA, WHITE_SWEEPS, ScoreDviParameters, prior_weight, score_dvi, settings_of
from solvers.score_dvi_fast import FastSettings
from tests.solvers.parts import psnr2, queries
from tests.solvers.test_camera_noise import noise, true_b8
from tests.solvers.test_noise_level import picture, quantised

PRIOR = GaussianPrior(0.25)
FOUND = CameraNoise(sigma=0.1, b8=6.0, neighbour=0.6, fine=0.04)


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
    [(0.0, 0.5), (3, 0.5), (7, 0.5), (math.sqrt(7 * 18), 0.5**0.5), (18, 1.0), (35, 2.0), (90, 2.0)],
)
def test_stronger_noise_has_a_stronger_prior(level, expected):
    assert prior_weight(level / 127.5) == pytest.approx(expected)


def test_beta0_is_the_energy_of_noise_that_averaging_leaves():
    chosen = settings_of(ScoreDviParameters(), FOUND)
    assert chosen.beta0 == pytest.approx(KAPPA * 0.1**2 * 6)
    assert chosen.prior_weight == prior_weight(0.1)
    twice = settings_of(ScoreDviParameters(), dataclasses.replace(FOUND, sigma=0.2))
    assert twice.beta0 == pytest.approx(4 * chosen.beta0)


def test_what_is_given_is_kept():
    params = ScoreDviParameters(sweeps=5, components=2, prior_weight=3.0, beta0=0.3, tolerance=0.0, symmetry="mirror")
    assert settings_of(params, FOUND) == FastSettings(0.3, 3.0, 5, 2, 0.0, "mirror")


def test_correlated_noise_takes_sweeps():
    noisy = 0.6 * picture(96, 96) + 0.15 * noise(96, 96, 5, 0)
    asked, solution = queries(score_dvi(task(noisy), ScoreDviParameters(), NoiseStream(0)), PRIOR.denoise)
    assert all(query.mean is not None for query in asked)
    assert solution.metrics["noise_sigma"] == pytest.approx(0.15, rel=0.3)
    assert solution.metrics["noise_b8"] > 4
    assert solution.metrics["sweeps"] == len(asked)


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
