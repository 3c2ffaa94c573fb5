"""The ensemble against closed forms of Gaussian priors, and what it leaves as it was (algorithms.md 10.6b, 11.7)."""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers.calibration import Calibration
from solvers.drive import drive
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators import Downsample, Identity, Mask, Operator
from solvers.query import Problem, Query, Solution, Solver, SolverDiverged
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.uncertainty import (
    PROBE,
    RHO_MIN,
    SIGMA_END,
    SIGMA_MAX,
    UncertaintySettings,
    city_block,
    gap_of,
    queries_of,
    smooth,
    with_uncertainty,
)
from tests.solvers.parts import operators, problem, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
SIDE = 4
N = SIDE**2
AT = torch.cartesian_prod(torch.arange(SIDE), torch.arange(SIDE)).double()
COVARIANCE = 0.25 * 0.9 ** torch.cdist(AT, AT)
PRIOR = DenseGaussianPrior(torch.zeros(N, dtype=torch.float64), COVARIANCE)
HOLES = Mask(torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)) < 0.5, 1)
SMALL: dict[str, Operator] = {
    "mask": HOLES,
    "box": Downsample((1, SIDE, SIDE), 2, "box"),
    "bicubic": Downsample((1, SIDE, SIDE), 2, "bicubic"),
}
EYE = torch.eye(N, dtype=torch.float64)


def matrix(operator: Operator) -> Tensor:
    return operator.forward(EYE.reshape(N, *operator.input_shape)).reshape(N, -1).T


def jacobian(sigma: float) -> Tensor:
    return COVARIANCE @ torch.linalg.inv(COVARIANCE + sigma**2 * EYE)


def at_the_mean(task: Problem) -> Solver:
    """A solver that is done at once. A Gaussian's spread is the same around any measurement: here all is 0."""
    return Solution(torch.zeros(1, *task.operator.input_shape, dtype=torch.float64), 0.0)
    yield


def zero_problem(operator: Operator, sigma_y: float) -> Problem:
    return Problem(torch.zeros(1, *operator.output_shape, dtype=torch.float64), operator, sigma_y)


def deviation(task: Problem, samples: int, steps: int) -> Tensor:
    """(16,), uncalibrated, for the correlated prior; runs of 64 members put together."""
    squares = []
    for seed in range(samples // 64):
        settings = UncertaintySettings("any", samples=64, steps=steps, rows=64)
        solution = drive(with_uncertainty(at_the_mean(task), task, settings, NoiseStream(seed)), PRIOR.denoise)
        squares.append(solution.deviation.flatten().square())
    return torch.stack(squares).mean(0).sqrt()


def smoothed_deviation(covariance: Tensor, operator: Operator) -> Tensor:
    """(16,); known pixels and holes apart."""
    variance = covariance.diag().reshape(1, 1, SIDE, SIDE)
    if not isinstance(operator, Mask):
        return smooth(variance).flatten().sqrt()
    known = operator.observed.double()[None, None]
    return (known * smooth(variance, known) + (1 - known) * smooth(variance, 1 - known)).flatten().sqrt()


def recursion(operator: Operator, sigma_y: float, steps: int) -> Tensor:
    """V of the module's docstring."""
    h, v = matrix(operator), torch.zeros_like(COVARIANCE)
    for sigma in geometric_levels(SIGMA_MAX, max(SIGMA_END, sigma_y / 2), steps):
        rho = max((sigma_y / sigma) ** 2, RHO_MIN)
        j, solve = jacobian(sigma), torch.linalg.inv(h.T @ h + rho * EYE)
        g = rho * solve
        v = g @ j @ (v + sigma**2 * EYE) @ j @ g.T + sigma_y**2 * solve @ h.T @ h @ solve.T
    return v


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("sigma_y", [0.0, 0.2])
def test_the_spread_of_a_gaussian_prior_has_a_closed_form(kind, sigma_y):
    operator = SMALL[kind]
    expected = 2 * recursion(operator, sigma_y, 6)
    if kind == "mask" and sigma_y == 0:
        expected = expected * (~HOLES.observed).flatten()[:, None]
    found = deviation(zero_problem(operator, sigma_y), 512, 6)
    assert torch.allclose(found, smoothed_deviation(expected, operator), rtol=0.1)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("sigma_y", [0.05, 0.2])
def test_the_closed_form_tends_to_the_posterior_deviation(kind, sigma_y):
    """Six levels are near it; many, which end at half the noise, within that end's error."""
    operator = SMALL[kind]
    h = matrix(operator)
    posterior = torch.linalg.inv(h.T @ h / sigma_y**2 + torch.linalg.inv(COVARIANCE)).diag().sqrt()
    errors = {
        steps: float(((2 * recursion(operator, sigma_y, steps)).diag().sqrt() / posterior - 1).abs().max())
        for steps in (6, 400)
    }
    assert errors[6] < 0.25
    assert errors[400] < 0.06


@pytest.mark.parametrize("sigma_y", [0.1, 0.5])
def test_denoising_has_the_posterior_deviation(sigma_y):
    """sigma_y^2 J, up to the length of the probes."""
    operator = Identity((1, SIDE, SIDE))
    posterior = sigma_y**2 * jacobian(sigma_y)
    found = deviation(zero_problem(operator, sigma_y), 2048, 6)
    expected = smoothed_deviation(posterior, operator)
    assert torch.allclose(found, expected, rtol=0.06 + PROBE**2 / 2)


def test_denoising_has_the_posterior_deviation_of_a_prior_that_is_not_gaussian():
    """Two bumps: near the middle between them the noise leaves both possible."""
    sigma_y, y = 0.3, 0.05
    grid = torch.linspace(-4, 4, 20001, dtype=torch.float64)
    density = sum(w * torch.exp(-((grid - m) ** 2) / 0.08) for w, m in ((0.3, -0.5), (0.7, 0.6)))
    density = density * torch.exp(-((grid - y) ** 2) / (2 * sigma_y**2))
    density = density / density.sum()
    mean = (density * grid).sum()
    expected = (density * (grid - mean) ** 2).sum().sqrt()
    operator = Identity((1, 16, 16))
    task = Problem(torch.full((1, 1, 16, 16), y, dtype=torch.float64), operator, sigma_y)
    settings = UncertaintySettings("denoise", samples=64, rows=64)
    solution = drive(with_uncertainty(at_the_mean(task), task, settings, NoiseStream(0)), MIXTURE.denoise)
    assert expected > sigma_y
    assert float(solution.deviation.mean()) == pytest.approx(float(expected), rel=0.05)


def test_known_pixels_of_an_exact_measurement_have_none():
    task = problem(operators()["mask"], sigma_y=0.0)
    solution = restored(task)
    known = task.operator.observed
    assert not solution.deviation[..., known].any()
    assert (solution.deviation[..., ~known] > 0.01).all()


def restored(task: Problem, seed: int = 0, denoise=MIXTURE.denoise, **settings) -> Solution:
    noise = NoiseStream(seed)
    asked = UncertaintySettings("inpaint", **settings)
    return drive(with_uncertainty(red_diff(task, RedDiffParameters(steps=4), noise), task, asked, noise), denoise)


@pytest.mark.parametrize("kind", operators())
def test_the_restoration_stays_as_it_is(kind):
    task = problem(operators()[kind])
    plain = drive(red_diff(task, RedDiffParameters(steps=4), NoiseStream(0)), MIXTURE.denoise)
    solution = restored(task)
    assert torch.equal(solution.x, plain.x)
    assert solution.data_residual == plain.data_residual
    assert solution.deviation.shape == plain.x.shape
    assert solution.samples.shape == (8, *plain.x.shape[1:])


@pytest.mark.parametrize("kind", operators())
def test_the_seed_decides(kind):
    task = problem(operators()[kind])
    once, again, other = restored(task), restored(task), restored(task, seed=1)
    assert torch.equal(once.deviation, again.deviation)
    assert torch.equal(once.samples, again.samples)
    assert not torch.equal(once.samples, other.samples)


@pytest.mark.parametrize("kind", operators())
def test_members_never_meet(kind):
    """Member k is the same among few and among many."""
    task = problem(operators()[kind])
    few, many = restored(task, samples=2).samples, restored(task, samples=5).samples
    assert torch.allclose(few, many[:2], atol=1e-12)


@pytest.mark.parametrize("kind", operators())
@pytest.mark.parametrize("rows", [1, 3])
def test_members_that_share_their_queries_or_not_are_the_same(kind, rows):
    task = problem(operators()[kind])
    together, apart = restored(task, samples=4), restored(task, samples=4, rows=rows)
    assert torch.allclose(together.samples, apart.samples, atol=1e-12)
    assert torch.allclose(together.deviation, apart.deviation, atol=1e-12)


@pytest.mark.parametrize("kind", operators())
def test_progress_counts_all_queries(kind):
    task, noise = problem(operators()[kind]), NoiseStream(0)
    settings = UncertaintySettings("any", samples=5, rows=3)
    asked, _ = queries(
        with_uncertainty(red_diff(task, RedDiffParameters(steps=4), noise), task, settings, noise), MIXTURE.denoise
    )
    more = queries_of(task, settings)
    assert [query.step for query in asked] == list(range(4 + more))
    assert {query.total for query in asked} == {4 + more}
    calls = 2 if kind == "identity" else 6
    assert [len(query.x) for query in asked] == [1] * 4 + [3] * calls + [2] * calls
    assert more == 2 * calls


def test_the_mean_of_a_query_is_the_query_without_its_noise():
    task, noise = problem(operators()["bicubic"]), NoiseStream(0)
    settings = UncertaintySettings("any", samples=4, steps=3)
    solver = with_uncertainty(red_diff(task, RedDiffParameters(steps=1), noise), task, settings, noise)
    query: Query = next(solver)
    for _ in range(3):
        query = solver.send(MIXTURE.denoise(query.x, query.sigma))
        drawn = (query.x - query.mean()) / query.sigma.reshape(-1, 1, 1, 1)
        assert drawn.std() == pytest.approx(1, abs=0.1)
        assert drawn.mean() == pytest.approx(0, abs=0.1)


def test_the_way_out_of_a_hole_is_measured_along_rows_and_columns():
    """Against all pairs of pixels."""
    observed = torch.rand(9, 14, generator=torch.Generator().manual_seed(1)) < 0.08
    at = torch.cartesian_prod(torch.arange(9), torch.arange(14)).float()
    expected = torch.cdist(at, at[observed.flatten()], p=1).min(1).values.reshape(9, 14)
    assert torch.equal(city_block(observed), expected)
    assert expected.max() > 5


def test_the_gap_is_one_beside_what_is_measured_and_grows_into_a_hole():
    lone, wide = torch.ones(2, 21, 21, dtype=torch.bool)
    lone[10, 10] = False
    wide[2:19, 2:19] = False
    assert gap_of(Mask(lone))[0, 0, 10, 10] == 1
    assert 1.5 < gap_of(Mask(wide))[0, 0, 10, 2] < 2.5
    assert 7 < gap_of(Mask(wide))[0, 0, 10, 10] < 9
    assert gap_of(Downsample((3, 16, 24), 4)) == 4
    assert gap_of(Identity((3, 16, 24))) == 1


def test_the_calibration_scales_the_deviation_and_is_told_apart():
    task = problem(operators()["bicubic"])  # by 4
    plain = restored(task, calibration=Calibration(0.1))
    scaled = restored(task, calibration=Calibration(0.03, 1.0, measured=True))
    assert torch.allclose(scaled.deviation, 1.2 * plain.deviation)
    assert plain.metrics["uncertainty_calibrated"] == 0
    assert scaled.metrics["uncertainty_calibrated"] == 1


def test_a_picture_without_noise_is_certain():
    task = problem(Identity((1, 8, 8)), 0.0)
    solution = restored(task)
    assert not solution.deviation.any()
    assert queries_of(task, UncertaintySettings("denoise")) == 0


@dataclass(frozen=True)
class Cubic:
    """y = x^3 + x, value by value, with the prox by Newton's method."""

    input_shape: tuple[int, int, int] = (1, 8, 8)
    output_shape: tuple[int, int, int] = (1, 8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return x**3 + x

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        return (3 * x**2 + 1) * r

    def start(self, y: Tensor) -> Tensor:
        return y

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        x = v
        for _ in range(20):
            slope = 3 * x**2 + 1
            x = x - (slope * (self.forward(x) - y) + rho * (x - v)) / (slope**2 + rho)
        return x


@pytest.mark.parametrize("x", [0.0, 1.0])
def test_operators_that_are_not_linear_are_followed_around_the_picture(x):
    """Where it is steep the measurement says more: as of a linear operator with the slope at x."""
    operator, sigma_y, slope, variance = Cubic(), 0.1, 3 * x**2 + 1, 0.0
    truth = torch.full((1, 1, 8, 8), x, dtype=torch.float64)
    task = Problem(operator.forward(truth), operator, sigma_y)
    white = GaussianPrior(1.0, x)

    def exact() -> Solver:
        return Solution(truth, 0.0)
        yield

    for sigma in geometric_levels(SIGMA_MAX, sigma_y / 2, 6):
        rho, gain = (sigma_y / sigma) ** 2, 1 / (1 + sigma**2)
        variance = (rho * gain / (slope**2 + rho)) ** 2 * (variance + sigma**2)
        variance += (slope * sigma_y / (slope**2 + rho)) ** 2
    settings = UncertaintySettings("any", samples=32, rows=32)
    found = drive(with_uncertainty(exact(), task, settings, NoiseStream(0)), white.denoise).deviation
    assert float(found.square().mean()) == pytest.approx(2 * variance, rel=0.1)


def test_a_number_that_is_not_finite_ends_the_run():
    task = problem(operators()["mask"])
    calls = iter(range(100))

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        return MIXTURE.denoise(x, sigma) * (math.nan if next(calls) == 5 else 1.0)

    with pytest.raises(SolverDiverged):
        restored(task, denoise=denoise)


@pytest.mark.parametrize(("field", "value"), [("samples", 1), ("samples", 65), ("steps", 0), ("method", "guess")])
def test_settings_out_of_bounds_are_named(field, value):
    with pytest.raises(ValueError, match=field):
        UncertaintySettings("inpaint", **{field: value})
