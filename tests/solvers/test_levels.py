"""Tables and lists of algorithms.md 1.4, 1.5 and 10.10."""

import math

import pytest
import torch

from solvers.levels import ORDERS, WEIGHTINGS, geometric_levels, timesteps, vp_alpha_bar, vp_sigmas, weight

TABLE = {
    # t: abar, linear, sqrt, square, log, trunc_linear, power2over3
    0: (0.9999, 0.010001, 0.100003, 0.000100, 0.009951, 0.010001, 0.046417),
    10: (0.997807, 0.046885, 0.216531, 0.002198, 0.045820, 0.046885, 0.130025),
    50: (0.969951, 0.176010, 0.419535, 0.030979, 0.162127, 0.176010, 0.314068),
    100: (0.895142, 0.342260, 0.585030, 0.117142, 0.294355, 0.342260, 0.489295),
    200: (0.656347, 0.723591, 0.850642, 0.523584, 0.544410, 0.723591, 0.805989),
    259: (0.497614, 1.004784, 1.002389, 1.009591, 0.695536, 1.000000, 1.003187),
    300: (0.394011, 1.240161, 1.113625, 1.537999, 0.806548, 1.000000, 1.154300),
    400: (0.193572, 2.041087, 1.428666, 4.166036, 1.112215, 1.000000, 1.609068),
    500: (0.0777967, 3.442967, 1.855523, 11.854023, 1.491322, 1.000000, 2.280107),
    700: (0.00686828, 12.024844, 3.467686, 144.596883, 2.566859, 1.000000, 5.248715),
    900: (0.000270245, 60.822303, 7.798866, 3699.352561, 4.124264, 1.000000, 15.465902),
    990: (4.83705e-5, 143.780274, 11.990841, 20672.767118, 4.975217, 1.000000, 27.445188),
    999: (4.03583e-5, 157.407281, 12.546206, 24777.052052, 5.065169, 1.000000, 29.152997),
}
COLUMNS = ("linear", "sqrt", "square", "log", "trunc_linear", "power2over3")


@pytest.mark.parametrize("t", TABLE)
def test_the_table_of_weights(t):
    abar, *weights = TABLE[t]
    sigma = float(vp_sigmas()[t])
    assert float(vp_alpha_bar()[t]) == pytest.approx(abar, rel=1e-5)
    for name, expected in zip(COLUMNS, weights, strict=True):
        assert weight(name, sigma) == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert weight("const", sigma) == 1


def test_every_weighting_is_in_the_table():
    assert set(WEIGHTINGS) == {*COLUMNS, "const"}
    with pytest.raises(ValueError, match="cubic"):
        weight("cubic", 1.0)


def test_levels_rise_with_the_timestep():
    sigmas = vp_sigmas()
    assert sigmas.dtype == torch.float64
    assert (sigmas.diff() > 0).all()
    assert int((sigmas >= 1).nonzero()[0]) == 259


@pytest.mark.parametrize(("sigma", "t"), [(0.1, 26), (0.2, 57), (0.4, 117)])
def test_the_timestep_of_a_level(sigma, t):
    assert int((vp_sigmas() - sigma).abs().argmin()) == t


@pytest.mark.parametrize(
    ("steps", "first", "calls"),
    [(20, 950, 20), (50, 980, 50), (100, 990, 100), (300, 999, 334), (600, 999, 1000), (1000, 999, 1000)],
)
def test_timesteps_as_the_paper_spaces_them(steps, first, calls):
    visited = timesteps(steps)
    assert (len(visited), visited[0], visited[-1]) == (calls, first, 0)
    assert {a - b for a, b in zip(visited, visited[1:], strict=False)} == {1000 // steps}


def test_orders():
    descending = timesteps(50)
    assert timesteps(50, "ascending") == descending[::-1]
    shuffled = timesteps(50, "random", torch.Generator().manual_seed(1))
    assert sorted(shuffled) == descending[::-1]
    assert shuffled not in (descending, descending[::-1])
    assert shuffled == timesteps(50, "random", torch.Generator().manual_seed(1))
    assert shuffled != timesteps(50, "random", torch.Generator().manual_seed(2))
    assert set(ORDERS) == {"descending", "ascending", "random"}
    with pytest.raises(ValueError, match="sideways"):
        timesteps(50, "sideways")


def test_geometric_levels():
    levels = geometric_levels(2.0, 0.02, 5)
    assert (levels[0], levels[-1]) == (2.0, pytest.approx(0.02))
    ratios = [math.log(b / a) for a, b in zip(levels, levels[1:], strict=False)]
    assert ratios == pytest.approx([ratios[0]] * 4)
    assert geometric_levels(2.0, 0.02, 1) == [0.02]
