"""Student's t likelihood: what it minimises, and what it does with outliers."""

import math

import pytest
import torch

from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Identity, Mask
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.robust import SCALE_MIN, student_t_prox, trust_of
from tests.solvers.parts import Cubic, line_prior, line_problem, operators, problem, psnr2


def picture(task: Problem) -> torch.Tensor:
    """Something else than what was measured."""
    rng = torch.Generator().manual_seed(8)
    return 0.3 * torch.randn(1, *task.operator.input_shape, generator=rng, dtype=torch.float64)


def test_trust_is_the_precision_that_is_expected():
    """E[phi] of a Gamma posterior, as ScoreDVI has it (algorithms.md 4, 11.4), relative to that without a residual."""
    nu, scale = 3.0, 0.2
    alpha0, beta0 = nu / 2, nu * scale**2 / 2
    r = torch.linspace(-2, 2, 9, dtype=torch.float64)
    phi = (alpha0 + 0.5) / (beta0 + 0.5 * r**2)
    assert torch.allclose(phi, (1 + 1 / nu) * trust_of(r, scale, nu) / scale**2)
    assert torch.allclose(trust_of(r, scale, 1e12), torch.ones(9).double())


@pytest.mark.parametrize("kind", operators())
def test_many_degrees_of_freedom_are_the_gaussian(kind):
    task = problem(operators()[kind])
    v = picture(task)
    x = student_t_prox(task.operator, task.measurement, v, 0.1, 0.2, 1e9, 0.7)
    assert torch.allclose(x, task.operator.prox(task.measurement, v, 0.7 * 0.25), atol=1e-6)


@pytest.mark.parametrize("kind", ["identity", "mask"])
def test_where_values_are_measured_one_by_one_it_is_the_weighted_prox(kind):
    """(trust y + rho v) / (trust + rho), rho in units of the precision, which the alternation nears from v."""
    task = problem(operators()[kind], 0.1)
    v = picture(task)
    y, sigma, nu = task.measurement, 0.1, 2.0
    trust = trust_of(y - task.operator.forward(v), math.hypot(0.1, sigma), nu)
    known = task.operator.forward(torch.ones_like(v))
    rho = nu / (nu + 1)
    exact = (known * trust * y + rho * v) / (known * trust + rho)
    x = student_t_prox(task.operator, y, v, 0.1, sigma, nu, 1.0)
    assert (x - exact).abs().max() < 0.02 * (exact - v).abs().max()


@pytest.mark.parametrize("kind", operators())
def test_no_step_raises_the_reweighted_objective(kind, monkeypatch):
    """Half-quadratic: sum trust (y - H x)^2 + rho |x - v|^2 falls with every alternation."""
    task = problem(operators()[kind], 0.1)
    v = picture(task)
    trust = trust_of(task.measurement - task.operator.forward(v), math.hypot(0.1, task.operator.norm * 0.3), 2.0)
    rho = (0.1 / 0.3) ** 2 * 2 / 3

    def objective(sweeps: int) -> float:
        monkeypatch.setattr("solvers.robust.SWEEPS", sweeps)
        x = student_t_prox(task.operator, task.measurement, v, 0.1, 0.3, 2.0, 1.0)
        return float((trust * (task.measurement - task.operator.forward(x)) ** 2).sum() + rho * (x - v).square().sum())

    values = [objective(sweeps) for sweeps in range(6)]
    assert all(after <= before + 1e-12 for before, after in zip(values, values[1:], strict=False))
    assert values[-1] < values[0] - 1e-3


def test_an_outlier_is_left_out_and_its_neighbours_kept():
    v = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    y = torch.full_like(v, 0.02)
    y[..., 1, 1] = 1.5
    x = student_t_prox(Identity((1, 3, 3)), y, v, 0.05, 0.05, 1.0, 1.0)
    plain = Identity((1, 3, 3)).prox(y, v, 1.0)
    assert float(x[..., 1, 1]) < 0.05 < float(plain[..., 1, 1])
    assert float(x[..., 0, 0]) == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize(("kind", "gain_db"), [("denoise", 3.0), ("inpaint", 1.0), ("mean of 4", 1.0)])
def test_a_measurement_with_outliers(kind, gain_db):
    """One value in twenty is anything: the Gaussian believes it. Without outliers little is lost."""
    task, truth = line_problem(kind, 0.1)
    rng = torch.Generator().manual_seed(9)
    hit = torch.rand(task.measurement.shape, generator=rng) < 0.05
    anything = 2 * torch.rand(hit.shape, generator=rng, dtype=torch.float64) - 1
    y = torch.where(hit, anything, task.measurement)
    y = task.operator.forward(y) if isinstance(task.operator, Mask) else y
    spoilt = Problem(y, task.operator, task.sigma_y)

    def restored(which: Problem, likelihood: str) -> float:
        params = RedDiffParameters(sigma_max=1.0, likelihood=likelihood)
        return psnr2(drive(red_diff(which, params, NoiseStream(0)), line_prior().denoise).x, truth)

    assert restored(spoilt, "student_t") > restored(spoilt, "gaussian") + gain_db
    assert restored(task, "student_t") > restored(task, "gaussian") - 0.7


def test_impulses_on_an_exact_picture():
    """Without any other noise the scale is a few grey values."""
    task, truth = line_problem("denoise", 0.0)
    hit = torch.rand(truth.shape, generator=torch.Generator().manual_seed(2)) < 0.1
    spoilt = Problem(torch.where(hit, 1.0, truth), task.operator, 0.0)
    params = RedDiffParameters(sigma_max=1.0, likelihood="student_t")
    x = drive(red_diff(spoilt, params, NoiseStream(0)), line_prior().denoise).x
    assert psnr2(x, truth) > psnr2(spoilt.measurement, truth) + 8
    assert SCALE_MIN > 2 / 255


def test_an_operator_that_is_not_linear():
    operator = Cubic((1, 4, 4))
    task = problem(operator, 0.1)
    v = torch.zeros_like(task.measurement)
    x = student_t_prox(operator, task.measurement, v, 0.1, 0.3, 1e9, 1.0)
    assert torch.allclose(x, operator.prox(task.measurement, v, 1 / 9), atol=1e-5)
