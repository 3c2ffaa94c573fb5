"""Levels, steps between them and samples side by side."""

import pytest
import torch

from priors.analytic import GaussianPrior
from solvers.dps import DpsParameters, dps
from solvers.drive import drive
from solvers.levels import vp_sigmas
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem
from solvers.sampling import SamplerParameters, consistent, split_level, vp_levels
from tests.solvers.gaussian_prior import SMALL, ancestral_moments
from tests.solvers.parts import Cubic


def test_levels_of_the_table_are_met_at_whole_timesteps():
    table = vp_sigmas()
    levels = vp_levels(float(table[900]), float(table[0]), 10)
    assert levels == pytest.approx([float(table[t]) for t in range(900, -1, -100)], rel=1e-9)
    squared = vp_levels(float(table[900]), float(table[0]), 10, power=2)
    assert squared[3] == pytest.approx(float(table[round(900 * (6 / 9) ** 0.5)]), rel=0.01)  # t = 734.8
    assert squared[0] == pytest.approx(levels[0]) and squared[-1] == pytest.approx(levels[-1])


def test_one_level_and_a_level_that_stands_still():
    assert vp_levels(3.0, 0.01, 1) == pytest.approx([3.0])
    assert vp_levels(0.2, 0.2, 4) == pytest.approx([0.2] * 4)
    assert vp_levels(157.0, 0.01, 2) == pytest.approx([157.0, 0.01], rel=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_the_noise_of_a_step(eta):
    """As DDIM has it in the frame of the paper, where x_t = sqrt(abar_t) z."""
    sigma, following = 1.7, 0.6
    abar_t, abar_s = 1 / (1 + sigma**2), 1 / (1 + following**2)
    c1 = eta * ((1 - abar_t / abar_s) * (1 - abar_s) / (1 - abar_t)) ** 0.5
    kept, fresh = split_level(sigma, following, eta)
    assert fresh == pytest.approx(c1 / abar_s**0.5, rel=1e-12)
    assert kept == pytest.approx((1 - abar_s - c1**2) ** 0.5 / abar_s**0.5, rel=1e-12)
    assert split_level(sigma, 0.0, eta) == (0.0, 0.0)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_without_data_the_prior_is_sampled(eta):
    """Under N(m, c) every step is affine: mean and variance follow by recursion, and are m and c for many steps."""
    c, mean = 0.25, 0.4
    shape = (1, 200, 200)
    task = Problem(torch.zeros(1, *shape, dtype=torch.float64), Identity(shape), 0.0)
    params = DpsParameters(steps=50, step_size=1e-12, eta=eta)
    x = drive(dps(task, params, NoiseStream(0)), GaussianPrior(c, mean).denoise).x
    centre, variance = ancestral_moments(50, eta, mean, c)
    assert float(x.mean()) == pytest.approx(centre, abs=4 * (variance / x.numel()) ** 0.5)
    assert float(x.var()) == pytest.approx(variance, rel=4 * (2 / x.numel()) ** 0.5)
    assert ancestral_moments(1000, eta, mean, c) == pytest.approx((mean, c), rel=0.02)


@pytest.mark.parametrize("kind", SMALL)
def test_the_limit_of_the_prox_is_consistent(kind):
    operator = SMALL[kind]
    v = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    y = operator.forward(v.flip(-1) ** 2)
    x = consistent(operator, y, v, 0.0)
    assert torch.allclose(operator.forward(x), y, atol=1e-12)
    assert torch.allclose(operator.prox(y, v, 1e-10), x, atol=1e-7)
    assert torch.equal(consistent(operator, y, v, 0.3), operator.prox(y, v, 0.3))


def test_an_operator_that_is_not_linear_is_met_closely():
    x = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(1, 1, 4, 4)
    found = consistent(Cubic((1, 4, 4)), Cubic((1, 4, 4)).forward(x), x + 0.1, 0.0)
    assert 0 < (found - x).abs().max() < 1e-4


def test_a_sample_is_the_same_however_many_there_are():
    task = Problem(torch.zeros(1, 1, 4, 5, dtype=torch.float64), Identity((1, 4, 5)), 0.1)
    denoise = GaussianPrior(0.25).denoise
    one = drive(dps(task, DpsParameters(steps=6), NoiseStream(2)), denoise)
    three = drive(dps(task, DpsParameters(steps=6, num_samples=3), NoiseStream(2)), denoise)
    assert one.samples is None and one.deviation is None
    assert three.samples.shape == (3, 1, 4, 5)
    assert torch.allclose(three.samples[:1], one.x, atol=1e-14)
    assert torch.allclose(three.x, three.samples.mean(0, keepdim=True))
    assert torch.allclose(three.deviation, three.samples.std(0, keepdim=True))
    assert (three.samples[1] - three.samples[2]).abs().max() > 0.1
    assert three.data_residual == pytest.approx(float((task.measurement - three.x).square().mean().sqrt()))


def test_the_last_level_is_not_above_the_first():
    SamplerParameters(0.5, 0.5)
    with pytest.raises(ValueError, match="sigma_min"):
        SamplerParameters(0.5, 0.6)
    with pytest.raises(ValueError, match="sigma_max"):
        SamplerParameters(158.0, 0.6)
