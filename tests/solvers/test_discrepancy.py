"""Morozov's principle: where the weight of the prior is unknown, the noise decides."""

import math

import pytest
import torch

from priors.analytic import DenseGaussianPrior
from solvers.discrepancy import adapted, expected_residual, gain
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Blur, Composition, Identity, Mask
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff
from tests.solvers.parts import Cubic, Dimmed, LineMean, line_prior, line_problem, operators, psnr2, queries

SIGMA_Y = 0.1


def test_the_expected_residual_is_that_of_the_truth():
    """Holes are zeros of y and of H x, in a mask and in one that comes last."""
    observed = torch.rand(100, 120, generator=torch.Generator().manual_seed(0)) < 0.3
    blur = Blur((1, 100, 120), torch.ones(3, 3) / 9)
    for operator in (Identity((1, 100, 120)), Mask(observed, 1), Composition((blur, Mask(observed, 1)))):
        x = torch.randn(1, 1, 100, 120, dtype=torch.float64)
        noise = 0.3 * torch.randn(1, 1, 100, 120, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        if not isinstance(operator, Identity):
            noise = noise * observed
        y = operator.forward(x) + noise
        residual = float((y - operator.forward(x)).square().mean().sqrt())
        assert expected_residual(Problem(y, operator, 0.3)) == pytest.approx(residual, rel=0.03)


@pytest.mark.parametrize(
    ("residual", "factor"), [(0.1, 1.0), (0.2, 0.5), (0.05, 2.0), (10.0, 0.25), (1e-9, 4.0), (0.0, 4.0)]
)
def test_the_factor_is_clamped(residual, factor):
    assert adapted(3.0, residual, 0.1) == pytest.approx(3.0 * factor)
    assert adapted(3.0, residual, 0.0) == 3.0  # an exact measurement has no level to aim at


def test_the_gain_of_an_operator():
    assert gain(LineMean((1, 1, 8))) == 0.5
    assert gain(Dimmed(operators()["mask"], 0.1)) == pytest.approx(0.1)
    assert gain(Cubic((1, 4, 4))) == 1.0


@pytest.mark.parametrize("kind", ["denoise", "inpaint", "mean of 4"])
def test_a_weight_that_is_wrong_by_decades_is_put_right(kind):
    """The residual becomes the noise from either side, where a fixed weight fits the noise or smooths all away."""
    task, truth = line_problem(kind, SIGMA_Y)
    prior = line_prior()
    found: dict[tuple[float, str], float] = {}
    for weight in (1 / 64, 64.0):
        for rule in ("none", "weight"):
            params = RedDiffParameters(steps=50, sigma_max=1.0, prior_weight=weight, discrepancy=rule)
            solution = drive(red_diff(task, params, NoiseStream(0)), prior.denoise)
            found[weight, rule] = psnr2(solution.x, truth)
            ratio = solution.data_residual / expected_residual(task)
            assert (rule == "weight") == (0.95 < ratio < 1.1)
    assert found[1 / 64, "weight"] == pytest.approx(found[64.0, "weight"], abs=0.05)
    assert found[64.0, "weight"] > found[64.0, "none"] + 3


@pytest.mark.parametrize("weight", [1.0, 16.0])
def test_the_run_ends_where_it_would_smooth_more_than_the_noise(weight):
    task, truth = line_problem("denoise", SIGMA_Y)
    asked, plain = queries(red_diff(task, params_of(weight, "none"), NoiseStream(0)), line_prior().denoise)
    fewer, stopped = queries(red_diff(task, params_of(weight, "stop"), NoiseStream(0)), line_prior().denoise)
    if weight == 1.0:  # the right one follows the measurement more closely than the truth does
        assert plain.data_residual < SIGMA_Y
        assert torch.equal(stopped.x, plain.x)
    else:
        assert len(fewer) < len(asked) == 50
        assert stopped.data_residual == pytest.approx(SIGMA_Y, rel=0.1)
        assert stopped.data_residual >= SIGMA_Y
        assert psnr2(stopped.x, truth) > psnr2(plain.x, truth) + 1.5


def params_of(weight: float, rule: str) -> RedDiffParameters:
    return RedDiffParameters(steps=50, sigma_max=1.0, prior_weight=weight, discrepancy=rule)


def test_an_exact_measurement_is_neither_weighed_nor_stopped():
    task, _ = line_problem("inpaint", 0.0)
    runs = [
        queries(red_diff(task, RedDiffParameters(steps=6, discrepancy=rule), NoiseStream(0)), line_prior().denoise)
        for rule in ("none", "weight", "stop")
    ]
    assert all(len(asked) == 6 and torch.equal(solution.x, runs[0][1].x) for asked, solution in runs)


def test_the_line_prior_is_what_it_says():
    prior: DenseGaussianPrior = line_prior()
    assert float(prior.variances.sum()) == pytest.approx(64 * 0.25)
    assert math.isclose(float((prior.basis @ torch.diag(prior.variances) @ prior.basis.T)[0, 1]), 0.25 * 0.95)
