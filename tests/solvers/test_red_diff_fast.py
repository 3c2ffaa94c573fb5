"""The closed-form data step: its fixed point, its noise and its shortcuts (algorithms.md 10.4, 10.5, 11.2)."""

import math

import pytest
import torch

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers.drive import drive
from solvers.fill import smooth_fill
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators import Downsample, Identity, Mask, Operator
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff, settings_of
from solvers.red_diff_fast import COARSE_RHO_MIN, JITTER, RHO_MIN, SIGMA_END, SIGMA_MAX, data_step
from solvers.symmetry import SYMMETRIES, apply
from tests.solvers.parts import Cubic, Dimmed, Silence, operators, problem, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)


def correlated_prior(side: int = 4) -> DenseGaussianPrior:
    """0.25 * 0.9^distance over a square of pixels, with a mean."""
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    covariance = 0.25 * 0.9 ** torch.cdist(at, at)
    return DenseGaussianPrior(torch.linspace(-0.3, 0.3, side**2, dtype=torch.float64), covariance)


def posterior_mean(operator: Operator, y: torch.Tensor, sigma_y: float, prior: DenseGaussianPrior, blur: float):
    """(H^T H / sigma_y^2 + (C + blur^2)^-1) mu = H^T y / sigma_y^2 + (C + blur^2)^-1 m, solved densely."""
    n = len(prior.mean)
    basis = torch.eye(n, dtype=torch.float64).reshape(n, *operator.input_shape)
    matrix = operator.forward(basis).reshape(n, -1).T
    precision = prior.basis @ torch.diag(1 / (prior.variances + blur**2)) @ prior.basis.T
    right = matrix.T @ y.flatten() / sigma_y**2 + precision @ prior.mean
    return torch.linalg.solve(matrix.T @ matrix / sigma_y**2 + precision, right).reshape(1, *operator.input_shape)


SMALL: dict[str, Operator] = {
    "identity": Identity((1, 4, 4)),
    "mask": Mask(torch.rand(4, 4, generator=torch.Generator().manual_seed(0)) < 0.5, 1),
    "box": Downsample((1, 4, 4), 2, "box"),
    "bicubic": Downsample((1, 4, 4), 2, "bicubic"),
}


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("sigma_y", [0.1, 0.5])
def test_the_fixed_point_is_the_posterior_mean_under_the_blurred_prior(kind, sigma_y):
    """sigma_max = sigma_y / 2 holds the level there; without noise an affine denoiser gives the expected step."""
    operator, prior = SMALL[kind], correlated_prior()
    task = problem(operator, sigma_y)
    level = max(SIGMA_END, sigma_y / 2)
    params = RedDiffParameters(steps=1000, sigma_max=level)
    solution = drive(red_diff(task, params, Silence(0)), prior.denoise)
    expected = posterior_mean(operator, task.measurement, sigma_y, prior, level)
    assert torch.allclose(solution.x, expected, atol=1e-8)


def test_the_weight_of_the_prior_acts_as_noise_of_the_measurement():
    """lambda = 4 is a measurement of twice the noise."""
    operator, prior, sigma_y = SMALL["box"], correlated_prior(), 0.2
    task = problem(operator, sigma_y)
    params = RedDiffParameters(steps=1000, sigma_max=sigma_y / 2, prior_weight=4.0)
    solution = drive(red_diff(task, params, Silence(0)), prior.denoise)
    assert torch.allclose(solution.x, posterior_mean(operator, task.measurement, 0.4, prior, 0.1), atol=1e-8)


@pytest.mark.parametrize("kind", ["mask", "box", "bicubic"])
def test_an_exact_measurement_is_met(kind):
    task = problem(operators()[kind], sigma_y=0.0)
    solution = drive(red_diff(task, RedDiffParameters(), NoiseStream(0)), MIXTURE.denoise)
    assert solution.data_residual < 10 * RHO_MIN * 0.1


@pytest.mark.parametrize(("operator", "least"), [(SMALL["box"], RHO_MIN / 4), (Cubic((1, 4, 4)), COARSE_RHO_MIN)])
def test_the_least_weight_of_the_prior(operator, least):
    """In units of the operator's squared norm, 1/4 for means over 2 x 2 pixels; of one that is not linear as it is."""
    task = problem(operator, sigma_y=0.0)
    v = 0.1 * torch.ones(1, 1, 4, 4, dtype=torch.float64)
    step = data_step(task, settings_of(RedDiffParameters()))
    assert torch.equal(step(v, 0.3, 1.0), operator.prox(task.measurement, v, least))


def test_noise_comes_in_pairs_of_opposite_sign():
    params = RedDiffParameters(steps=6)
    asked, _ = queries(red_diff(problem(operators()["mask"]), params, NoiseStream(7)), MIXTURE.denoise)
    noise = [(query.x - query.estimate) / query.sigma for query in asked]
    like = asked[0].x
    for step, drawn in enumerate(noise):
        assert torch.allclose(drawn, NoiseStream(7).normal(step // 2, like) * (-1) ** step, atol=1e-12)


@pytest.mark.parametrize("symmetry", ["none", "dihedral"])
def test_the_mean_of_a_query_is_the_query_without_its_noise(symmetry):
    """In the frame of the query, mirrored and turned as it is; the noise is the stream's, turned alike."""
    task, noise = problem(operators()["bicubic"]), NoiseStream(7)
    solver, elements = red_diff(task, RedDiffParameters(steps=20, symmetry=symmetry), noise), SYMMETRIES[symmetry]
    query, shapes = next(solver), set()
    for step in range(20):
        element = elements[step // 2 % len(elements)]
        assert torch.equal(query.mean(), apply(query.estimate, element))
        drawn = apply(noise.normal(step // 2, query.estimate) * (-1) ** step, element)
        assert torch.allclose(query.x - query.mean(), query.sigma * drawn, atol=1e-12)
        shapes.add(query.mean().shape)
        answer = MIXTURE.denoise(query.x, query.sigma)
        query = solver.send(answer) if step < 19 else None
    assert len(shapes) == (2 if symmetry == "dihedral" else 1)


def test_a_measurement_that_is_denoised_directly_has_no_known_mean():
    """Its own noise is in it, and nobody knows which part of it that is."""
    asked, _ = queries(
        red_diff(problem(Identity((3, 12, 16)), 0.2), RedDiffParameters(), NoiseStream(0)), MIXTURE.denoise
    )
    assert all(query.mean is None for query in asked)


@pytest.mark.parametrize("sigma_y", [0.0, 0.1, 0.5])
def test_levels_fall_geometrically_to_half_the_noise(sigma_y):
    params = RedDiffParameters(steps=9, sigma_max=2.0)
    asked, _ = queries(red_diff(problem(operators()["box"], sigma_y), params, NoiseStream(0)), MIXTURE.denoise)
    levels = [float(query.sigma) for query in asked]
    assert (levels[0], levels[-1]) == pytest.approx((2.0, max(SIGMA_END, sigma_y / 2)))
    assert [b / a for a, b in zip(levels, levels[1:], strict=False)] == pytest.approx([levels[1] / levels[0]] * 8)


def test_a_first_level_below_the_last_is_kept():
    params = RedDiffParameters(steps=3, sigma_max=0.01)
    asked, _ = queries(red_diff(problem(operators()["box"], 0.5), params, NoiseStream(0)), MIXTURE.denoise)
    assert [float(query.sigma) for query in asked] == pytest.approx([0.01] * 3)


def test_the_innovation_is_averaged_over_two_calls():
    """Against a direct transcription of algorithms 11.2."""
    task, levels = problem(operators()["mask"], 0.2), [1.0, 0.1**0.5, 0.1]
    solution = drive(red_diff(task, RedDiffParameters(steps=3, sigma_max=1.0), NoiseStream(4)), MIXTURE.denoise)
    observed = task.operator.observed
    mu = smooth_fill(task.measurement, observed[None, None].double())
    d = None
    for k, sigma in enumerate(levels):
        n = NoiseStream(4).normal(k // 2, mu) * (1, -1, 1)[k]
        new = MIXTURE.denoise(mu + sigma * n, torch.tensor([sigma])) - mu
        d = new if d is None else 0.5 * d + 0.5 * new
        rho = 0.2**2 / sigma**2
        known = (task.measurement + rho * (mu + d)) / (1 + rho)
        mu = torch.where(observed, known, mu + d)
    assert torch.allclose(solution.x, mu, atol=1e-12)


@pytest.mark.parametrize(("symmetry", "count"), [("none", 1), ("mirror", 2), ("dihedral", 8)])
def test_symmetries_change_nothing_for_a_prior_that_has_them(symmetry, count):
    """The mixture treats every pixel alike; with the noise switched off the answers must agree."""
    task = problem(operators()["bicubic"])
    plain, turned = (
        drive(red_diff(task, RedDiffParameters(steps=16, symmetry=name), Silence(0)), MIXTURE.denoise).x
        for name in ("none", symmetry)
    )
    assert torch.allclose(plain, turned, atol=1e-12)
    asked, _ = queries(red_diff(task, RedDiffParameters(steps=16, symmetry=symmetry), Silence(0)), MIXTURE.denoise)
    different = {tuple(query.x.flatten().tolist()) for query in asked}
    assert len(different) == 16  # the estimate changes from step to step as well
    assert len({query.x.shape for query in asked}) == (2 if count == 8 else 1)


def test_an_error_that_depends_on_the_orientation_is_averaged_away():
    """A denoiser that is off by a ramp from left to right: mirroring cancels it."""
    ramp = torch.linspace(-0.1, 0.1, 16, dtype=torch.float64)
    task = problem(Identity((3, 12, 16)), 0.2)
    errors = {}
    for symmetry in ("none", "mirror"):
        params = RedDiffParameters(steps=4, symmetry=symmetry)
        x = drive(red_diff(task, params, Silence(0)), lambda x, s: MIXTURE.denoise(x, s) + ramp).x
        sigma = torch.tensor([0.2 * math.hypot(1, JITTER)], dtype=torch.float64)
        errors[symmetry] = float((x - MIXTURE.denoise(task.measurement, sigma)).abs().max())
    assert errors["none"] == pytest.approx(0.1)
    assert errors["mirror"] < 1e-12


def test_denoising_is_the_posterior_mean_in_one_call():
    """Tweedie: D(y, sigma_y), here at the level of the measurement with its jitter."""
    prior, sigma_y = GaussianPrior(0.25, 0.1), 0.3
    task = problem(Identity((1, 8, 8)), sigma_y)
    solution = drive(red_diff(task, RedDiffParameters(steps=1), Silence(0)), prior.denoise)
    expected = prior.denoise(task.measurement, torch.tensor([sigma_y]))
    assert torch.allclose(solution.x, expected, atol=JITTER**2 * 0.3)
    with_noise = drive(red_diff(task, RedDiffParameters(steps=8), NoiseStream(0)), prior.denoise)
    assert torch.allclose(with_noise.x, solution.x, atol=1e-12)  # pairs cancel for an affine denoiser


def test_denoising_with_a_stronger_prior():
    task = problem(Identity((1, 8, 8)), 0.2)
    stronger = Problem(task.measurement, task.operator, 0.4)
    assert torch.allclose(
        drive(red_diff(task, RedDiffParameters(prior_weight=4.0), NoiseStream(0)), MIXTURE.denoise).x,
        drive(red_diff(stronger, RedDiffParameters(), NoiseStream(0)), MIXTURE.denoise).x,
        atol=1e-12,
    )


def test_denoising_what_has_no_noise_asks_nothing():
    task = problem(Identity((1, 8, 8)), 0.0)
    asked, solution = queries(red_diff(task, RedDiffParameters(), NoiseStream(0)), MIXTURE.denoise)
    assert asked == []
    assert torch.equal(solution.x, task.measurement)
    assert solution.data_residual == 0


def test_a_first_level_makes_denoising_anneal():
    task = problem(Identity((1, 8, 8)), 0.2)
    asked, _ = queries(red_diff(task, RedDiffParameters(steps=4, sigma_max=0.5), NoiseStream(0)), MIXTURE.denoise)
    assert [float(query.sigma) for query in asked] == pytest.approx(
        [0.5, 0.5 * 0.2 ** (1 / 3), 0.5 * 0.2 ** (2 / 3), 0.1]
    )


def test_the_start_fills_holes_smoothly():
    task = problem(operators()["mask"])
    asked, _ = queries(red_diff(task, RedDiffParameters(steps=1), NoiseStream(0)), MIXTURE.denoise)
    observed = task.operator.observed
    assert torch.equal(asked[0].estimate[..., observed], task.measurement[..., observed])
    assert torch.equal(asked[0].estimate, smooth_fill(task.measurement, observed[None, None].double()))


@pytest.mark.parametrize("factor", [0.01, 30.0])
@pytest.mark.parametrize("kind", ["mask", "box"])
@pytest.mark.parametrize("likelihood", ["gaussian", "student_t"])
def test_the_units_of_the_measurement_do_not_matter(kind, factor, likelihood):
    """y, H and sigma_y times a factor, an exact measurement included, is the same problem."""
    params = RedDiffParameters(steps=6, likelihood=likelihood)
    for sigma_y in (0.0, 0.2) if likelihood == "gaussian" else (0.2,):
        task = problem(operators()[kind], sigma_y)
        other = Problem(task.measurement * factor, Dimmed(task.operator, factor), sigma_y * factor)
        if sigma_y * factor > SIGMA_MAX:  # which also bounds the levels
            continue
        levels = geometric_levels(SIGMA_MAX, max(SIGMA_END, sigma_y / 2), 6)
        steps = [data_step(each, settings_of(params)) for each in (task, other)]
        v = problem(Identity(task.operator.input_shape)).measurement
        for sigma in levels:
            assert torch.allclose(steps[0](v, sigma, 1.0), steps[1](v, sigma, 1.0), atol=1e-10)


def test_a_measurement_that_is_not_linear_has_the_fixed_point_of_its_posterior():
    """J^T (f(mu) - y) / sigma_y^2 + (mu - m) / (c + sigma^2) = 0 at the last level."""
    operator, sigma_y, c, m = Cubic((1, 4, 4)), 0.2, 0.25, 0.1
    task = problem(operator, sigma_y)
    params = RedDiffParameters(steps=1000, sigma_max=sigma_y / 2)
    mu = drive(red_diff(task, params, Silence(0)), GaussianPrior(c, m).denoise).x
    slope = operator.pull_back(mu, operator.forward(mu) - task.measurement) / sigma_y**2
    assert torch.allclose(slope + (mu - m) / (c + (sigma_y / 2) ** 2), torch.zeros(()).double(), atol=1e-8)


def test_a_measurement_that_is_not_linear_begins_where_its_operator_says():
    task = problem(Cubic((1, 4, 4)))
    assert torch.equal(next(red_diff(task, RedDiffParameters(), NoiseStream(0))).estimate, task.measurement)


def test_a_preview_is_one_picture():
    task = problem(operators()["box"], rows=3)
    asked, _ = queries(red_diff(task, RedDiffParameters(steps=2), NoiseStream(0)), MIXTURE.denoise)
    assert [query.estimate.shape[0] for query in asked] == [1, 1]


@pytest.mark.parametrize("option", [{"likelihood": "student_t"}, {"discrepancy": "weight"}])
def test_denoising_anneals_where_its_noise_is_doubted(option):
    asked, _ = queries(
        red_diff(problem(Identity((1, 8, 8)), 0.2), RedDiffParameters(**option), NoiseStream(0)), MIXTURE.denoise
    )
    assert [float(asked[0].sigma), float(asked[-1].sigma)] == pytest.approx([SIGMA_MAX, 0.1])
