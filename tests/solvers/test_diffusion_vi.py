"""DiffusionVI: its step, its estimate of the noise, and where it ends (algorithms.md 6)."""

import math

import pytest
import torch
from torch import Tensor

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers import diffusion_vi as module
from solvers.diffusion_vi import DiffusionSettings, diffusion_vi, levels, likelihood, reverse
from solvers.drive import drive
from solvers.levels import vp_sigmas
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem, SolverDiverged
from tests.solvers.parts import lockstep, problem, psnr2, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
SHORT = DiffusionSettings(steps=12)


def number(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), value, dtype=torch.float64)


def test_the_step_is_the_posterior_of_the_ancestral_chain():
    """Given the picture: the product of N(x_s; sqrt(abar_s) x_0, 1 - abar_s) and N(x_t; sqrt(kept) x_s, 1 - kept)."""
    x, picture, now, then = number(0.7), number(-0.4), 0.3, 0.45
    kept = now / then
    precision = 1 / (1 - then) + kept / (1 - kept)
    mean = (math.sqrt(then) * picture / (1 - then) + math.sqrt(kept) * x / (1 - kept)) / precision
    found, variance = reverse(x, picture, now, then)
    assert torch.allclose(found, mean, atol=1e-14)
    assert 1 / precision < variance == pytest.approx(1 - kept)
    last, variance = reverse(x, picture, now, 1.0)
    assert torch.equal(last, picture) and variance == pytest.approx(1 - now)


@pytest.mark.parametrize(
    ("y", "m", "v", "beta0", "temperature"), [(0.7, 0.1, 0.02, 0.01, 0.2), (-0.3, 0.2, 0.3, 0.1, 1)]
)
def test_the_fixed_point_against_an_iteration_of_its_own(monkeypatch, y, m, v, beta0, temperature):
    """Both precisions of u added up (12), the rate of the Gamma by (14); in numbers, from another start."""
    alpha, phi = 1 + 1 / (2 * temperature), 30.0
    for _ in range(5000):
        u = (phi / temperature * y + m / v) / (phi / temperature + 1 / v)
        spread = 1 / (phi / temperature + 1 / v)
        b = beta0 + ((y - u) ** 2 + spread) / (2 * temperature)
        phi = alpha / b
    settled = likelihood(number(y), number(m), v, number(1.0), beta0, temperature)
    assert float(settled) == pytest.approx(b, rel=0.02)
    monkeypatch.setattr(module, "SETTLED", 1e-28)
    settled = likelihood(number(y), number(m), v, number(1.0), beta0, temperature)
    assert float(settled) == pytest.approx(b, rel=1e-9)


def test_levels_are_the_table_and_fewer_of_them_lie_lower():
    table = vp_sigmas().flip(0)
    assert torch.allclose(torch.tensor(levels(1000)[:-1], dtype=torch.float64), table, rtol=1e-9)
    few = levels(10)
    assert len(few) == 11 and few[-1] == 0
    assert few[0] == pytest.approx(float(table[0])) and few[-2] == pytest.approx(float(table[-1]))
    assert few[5] < float(table[500])


def test_one_query_a_step():
    task = problem(Identity((3, 12, 16)))
    asked, solution = queries(diffusion_vi(task, SHORT, NoiseStream(0)), MIXTURE.denoise)
    assert [query.step for query in asked] == list(range(12)) and {query.total for query in asked} == {12}
    assert [float(query.sigma) for query in asked] == pytest.approx(levels(12)[:-1])
    assert all(query.component == 0 and query.x.shape == task.measurement.shape for query in asked)
    assert asked[0].x.square().mean().sqrt() == pytest.approx(float(asked[0].sigma), rel=0.1)
    assert torch.equal(asked[0].estimate, task.measurement)
    for query, following in zip(asked, asked[1:], strict=False):
        assert torch.equal(following.estimate, MIXTURE.denoise(query.x, query.sigma))
        assert following.data_residual == pytest.approx(
            float((task.measurement - following.estimate).square().mean().sqrt())
        )
    assert solution.metrics == {"steps": 12.0}
    assert solution.noise_map.shape == solution.x.shape and (solution.noise_map > 0).all()


def smooth_fields(side: int, rows: int) -> tuple[DenseGaussianPrior, Tensor]:
    at = torch.cartesian_prod(torch.arange(side), torch.arange(side)).double()
    prior = DenseGaussianPrior(torch.zeros(side**2), 0.1 * (-0.5 * (torch.cdist(at, at) / 3).square()).exp())
    drawn = torch.randn(rows, side**2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return prior, ((prior.variances.sqrt() * drawn) @ prior.basis.T).reshape(rows, 1, side, side)


@pytest.mark.parametrize("sigma", [0.05, 0.1])
def test_white_noise_of_unknown_level_is_removed_almost_as_the_posterior_mean_does(sigma):
    prior, clean = smooth_fields(12, 8)
    noisy = clean + sigma * NoiseStream(5).normal(0, clean)
    best = prior.denoise(noisy, torch.full((8,), sigma))
    solution = drive(diffusion_vi(Problem(noisy, Identity((1, 12, 12)), 0.0), SHORT, NoiseStream(1)), prior.denoise)
    assert psnr2(best, clean) - 2.5 < psnr2(solution.x, clean) < psnr2(best, clean)
    assert psnr2(solution.x, clean) > psnr2(noisy, clean) + 3
    assert sigma / 1.6 < float(solution.noise_map.square().mean().sqrt()) < 1.6 * sigma


def test_a_larger_b0_trusts_the_picture_less():
    prior, clean = smooth_fields(12, 2)
    task = Problem(clean + 0.1 * NoiseStream(5).normal(0, clean), Identity((1, 12, 12)), 0.0)
    residuals = [
        drive(diffusion_vi(task, DiffusionSettings(beta0, 12), NoiseStream(1)), prior.denoise).data_residual
        for beta0 in (0.001, 0.01, 0.1)
    ]
    assert residuals == sorted(residuals)


def test_a_picture_is_the_same_alone_and_in_company():
    task, other = problem(Identity((3, 12, 16))), problem(Identity((3, 12, 16)), sigma_y=0.3)
    start = lambda one, seed: diffusion_vi(one, SHORT, NoiseStream(seed))  # noqa: E731
    together = lockstep([start(task, 0), start(other, 1)], MIXTURE.denoise)
    assert torch.allclose(together[0], drive(start(task, 0), MIXTURE.denoise).x, atol=1e-12)
    assert torch.allclose(together[1], drive(start(other, 1), MIXTURE.denoise).x, atol=1e-12)
    assert not torch.equal(drive(start(task, 2), MIXTURE.denoise).x, together[0])


def test_a_number_that_is_not_finite_ends_the_run():
    solver = diffusion_vi(problem(Identity((3, 12, 16))), SHORT, NoiseStream(0))
    query = solver.send(GaussianPrior(0.25).denoise(next(solver).x, torch.tensor([157.0])))
    with pytest.raises(SolverDiverged, match="the denoised image is not finite at step 1"):
        solver.send(query.x * math.nan)
