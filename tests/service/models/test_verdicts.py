"""Which figures pass, with the bundled prior's own and with those of adapters that are wrong."""

import math

import pytest
import torch

from priors.analytic import GaussianPrior
from priors.evaluation import LevelScore, evaluate
from service.models.verdicts import Verdict, broken, calibrations, decoded, gains, slopes


def scores(*rows: tuple[float, float, float, float]) -> list[LevelScore]:
    """Rows of sigma, gain in dB, slope and calibration."""
    noisy = 20.0
    return [LevelScore(row[0], 127.5 * row[0], noisy, noisy + row[1], row[3], row[2]) for row in rows]


KODAK = scores((0.04, 5.7, 0.723, 0.851), (0.2, 11, 0.902, 0.944), (1.0, 18.5, 0.979, 0.987), (2.0, 22, 0.992, 0.996))


def test_a_good_prior_passes() -> None:
    assert broken(KODAK) is None
    assert all(verdict.passed for verdict in (gains(KODAK), slopes(KODAK), calibrations(KODAK), decoded(KODAK)))
    assert slopes(KODAK).why == "rises from 0.902 to 0.992"  # the lowest level may have any slope
    assert gains(KODAK).why.startswith("+5.70 dB at sigma 0.04")


@pytest.mark.parametrize(
    ("rows", "judge", "why"),
    [
        ([(0.1, 4.3, 0.46, 0.54)], slopes, "0.460 at sigma 0.1 is not within 0.5 to 1.05: the adapter's scaling"),
        ([(0.1, 4.7, 1.12, 1.27)], slopes, "1.120 at sigma 0.1 is not within"),
        ([(0.1, 5, 0.9, 0.9), (0.5, 5, 0.8, 0.9)], slopes, "falls from 0.900 to 0.800 at sigma 0.5"),
        (
            [(0.1, 6.8, 0.66, 0.73)],
            calibrations,
            "is -0.127 at sigma 0.1, the largest of all levels: it is told a wrong",
        ),
        ([(0.1, 7.3, 1.02, 1.11)], calibrations, "is +0.212 at sigma 0.1"),
        ([(0.1, 3, 0.9, 0.95), (2.0, -0.1, 0.9, 0.95)], gains, "-0.10 dB at sigma 2"),
        ([(0.1, 3, 0.9, 0.95), (2.0, -0.1, 0.9, 0.95)], decoded, "-0.10 dB at sigma 2"),
    ],
)
def test_wrong_adapters_fail_with_the_reason(rows: list, judge, why: str) -> None:
    verdict: Verdict = judge(scores(*rows))
    assert not verdict.passed
    assert why in verdict.why


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_fails(value: float) -> None:
    verdict = broken(scores((0.1, 3, 0.9, 0.95), (2.0, 3, value, 0.9)))
    assert verdict is not None and not verdict.passed and "sigma 2" in verdict.why


@pytest.mark.parametrize(("told", "passed"), [(1.0, True), (0.5, False), (0.7, False), (1.4, False), (2.0, False)])
def test_a_wrong_level_shows_in_an_exact_posterior_mean(told: float, passed: bool) -> None:
    """Of pixels that really are independent and Gaussian, with the prior that knows them."""
    exact = GaussianPrior(0.25)
    clean = 0.5 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    class Wrong:
        info = exact.info

        def denoise(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            return exact.denoise(x, told * sigma)

    found = evaluate(Wrong(), [clean], [0.2, 0.5, 1.0], None, 0)
    assert calibrations(found).passed == passed
