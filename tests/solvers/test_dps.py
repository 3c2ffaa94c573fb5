"""DPS: one step in closed form, and whole runs in the frame of the paper (algorithms.md 2)."""

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior, GaussianPrior
from solvers.dps import PAPER_STEPS, PAPER_VALUES, DpsParameters, default_step_size, dps, misfit_slope
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.operators.base import AnyOperator
from solvers.query import Problem
from solvers.sampling import vp_levels
from tests.solvers.gaussian_prior import SMALL, Recorder, VpFrame, gaussian, jacobian, matrix_of
from tests.solvers.parts import Cubic, Silence, problem

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
SCALE = (PAPER_VALUES / 16) ** 0.5
"""Of the norm for pictures of 16 values."""


@pytest.mark.parametrize("kind", SMALL)
def test_one_step_from_a_gaussian_prior(kind):
    """x = D - 2 zeta sqrt(1 + sigma^2) J^T H^T (H D - y) / ||H D - y||, J = C (C + sigma^2)^-1."""
    operator, prior, sigma, zeta = SMALL[kind], gaussian(), 0.7, 0.03
    task = problem(operator)
    found = drive(dps(task, DpsParameters(steps=1, step_size=zeta, sigma_max=sigma), NoiseStream(4)), prior.denoise).x
    h, j, y = matrix_of(operator), jacobian(prior, sigma), task.measurement.flatten()
    start = operator.pseudoinverse(task.measurement)
    z = (start + sigma * NoiseStream(4).normal(0, start)).flatten()
    d = prior.mean + j @ (z - prior.mean)
    r = h @ d - y
    step = 2 * zeta * PAPER_STEPS * (1 + sigma**2) ** 0.5 / (SCALE * r.norm())
    assert torch.allclose(found.flatten(), d - step * j.T @ h.T @ r, atol=1e-12)


@pytest.mark.parametrize("operator", [*SMALL.values(), Cubic((1, 4, 4))], ids=[*SMALL, "cubic"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_the_published_loop_in_the_published_frame(operator: AnyOperator, eta):
    """Differentiated by autograd through denoiser and operator at once, on x_t = sqrt(abar_t) z."""
    task, noise, zeta, steps = problem(operator, rows=2), NoiseStream(1), 0.02, 6
    params = DpsParameters(steps=steps, step_size=zeta, eta=eta, sigma_max=20.0)
    found = drive(dps(task, params, noise), MIXTURE.denoise).x

    frame, y = VpFrame(MIXTURE.denoise, noise, eta), task.measurement
    abars = [1 / (1 + level**2) for level in [*vp_levels(20.0, 0.01, steps), 0.0]]
    start = operator.start(y) if isinstance(operator, Cubic) else operator.pseudoinverse(y)
    x_t = abars[0] ** 0.5 * start + (1 - abars[0]) ** 0.5 * noise.normal(0, start)
    for draw, (abar_t, abar_s) in enumerate(zip(abars, abars[1:], strict=False), start=1):
        x_t.requires_grad_()
        x0, eps = frame.predict(x_t, abar_t)
        misfits = (y - operator.forward(x0)).square().flatten(1).sum(1)
        (slope,) = torch.autograd.grad(misfits.sum(), x_t)
        norms = misfits.sqrt().reshape(-1, 1, 1, 1) * SCALE
        x_t = frame.step(x0, eps, abar_t, abar_s, draw) - zeta * PAPER_STEPS / steps / norms * slope
        x_t = x_t.detach()
    assert torch.allclose(found, x_t, atol=1e-9)


def test_two_queries_a_step_at_the_same_place():
    recorder, task = Recorder(MIXTURE.denoise), problem(SMALL["box"])
    recorder.drive(dps(task, DpsParameters(steps=3, step_size=0.1), NoiseStream(0)))
    assert [query.cotangent is None for query in recorder.asked] == [True, False] * 3
    assert [query.step for query in recorder.asked] == list(range(6))
    for plain, pulled, denoised in zip(recorder.asked[::2], recorder.asked[1::2], recorder.answers[::2], strict=True):
        assert torch.equal(plain.x, pulled.x) and torch.equal(plain.sigma, pulled.sigma)
        assert torch.equal(pulled.cotangent, misfit_slope(task.operator, denoised, task.measurement))


def test_a_step_size_means_the_same_at_every_size():
    """Four copies of a picture side by side are restored as the picture is."""
    y = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    small, large = (
        drive(dps(Problem(y, Identity(y.shape[1:]), 0.0), DpsParameters(steps=8), Silence(0)), MIXTURE.denoise).x
        for y in (y, y.repeat(1, 1, 2, 2))
    )
    assert torch.allclose(large, small.repeat(1, 1, 2, 2), atol=1e-12)


def test_a_step_has_its_length_whatever_the_misfit():
    """So a run ends within one step of the measurement, where the prior lets it: 2 zeta 1000 / steps per 443."""
    y = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    params = DpsParameters(steps=200, step_size=0.5, eta=0.0)
    found = drive(dps(Problem(y, Identity((1, 4, 4)), 0.0), params, Silence(0)), GaussianPrior(100.0).denoise)
    step = 2 * 0.5 * PAPER_STEPS / 200 / PAPER_VALUES**0.5
    assert found.data_residual < step * 1.01


def test_nothing_left_to_descend():
    x = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    slope: Tensor = misfit_slope(Identity((1, 4, 4)), x, x)
    assert torch.equal(slope, torch.zeros_like(x))


def test_default_step_sizes():
    assert default_step_size(SMALL["mask"]) == 0.5
    assert default_step_size(SMALL["box"]) == 1.0
    assert default_step_size(Cubic((1, 4, 4))) == 0.1
