"""Schedules against published and independently computed values."""

import math

import pytest
import torch

from priors.schedules import (
    Schedule,
    build_schedule,
    cosine_alpha_bar,
    linear_alpha_bar,
    ve_schedule,
    vp_schedule,
    with_zero_terminal_snr,
)

DDPM = {"kind": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02}
LATENT = {"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012}
FACES = {"kind": "scaled_linear", "steps": 1000, "beta_start": 0.0015, "beta_end": 0.0195}
COSINE = {"kind": "squaredcos_cap_v2", "steps": 1000}
ZERO = {**LATENT, "zero_terminal_snr": True}
VE = {"kind": "ve", "steps": 2000, "sigma_min": 0.01, "sigma_max": 348.0}
ALL = [DDPM, LATENT, FACES, COSINE, ZERO, VE]


def test_levels_of_the_linear_schedule() -> None:
    alpha_bar, schedule = linear_alpha_bar(1000, 1e-4, 0.02), build_schedule(DDPM)
    assert alpha_bar[0].item() == pytest.approx(0.9999, rel=1e-12)
    assert alpha_bar[999].item() == pytest.approx(4.03583e-5, rel=1e-5)
    levels = {0: 0.010001, 10: 0.046885, 100: 0.342260, 259: 1.004784, 500: 3.442967, 900: 60.822303, 999: 157.407281}
    for timestep, sigma in levels.items():
        assert schedule.sigmas[timestep].item() == pytest.approx(sigma, abs=5e-7)
    assert int((schedule.sigmas >= 1).nonzero()[0]) == 259


@pytest.mark.parametrize(
    ("declared", "low", "high"),
    [(DDPM, 0.0100, 157.4), (LATENT, 0.0292, 14.6), (FACES, 0.0388, 83.8), (COSINE, 0.0064, 2.0e4), (VE, 0.01, 348)],
    ids=["linear", "latent", "faces", "cosine", "ve"],
)
def test_ranges(declared: dict, low: float, high: float) -> None:
    schedule = build_schedule(declared)
    assert schedule.sigma_min == pytest.approx(low, rel=6e-3)
    assert schedule.sigma_max == pytest.approx(high, rel=2e-2)


@pytest.mark.parametrize(
    ("declared", "nearest"),
    [(DDPM, [11, 144, 258, 674]), (LATENT, [2, 169, 354, 934]), (COSINE, [24, 289, 495, 935])],
    ids=["linear", "latent", "cosine"],
)
def test_timesteps_of_known_levels(declared: dict, nearest: list[int]) -> None:
    timesteps = build_schedule(declared).timestep(torch.tensor([0.05, 0.5, 1.0, 10.0], dtype=torch.float64))
    assert timesteps.round().int().tolist() == nearest
    assert (timesteps != timesteps.round()).all()  # between the timesteps, not at them


@pytest.mark.parametrize("declared", ALL, ids=lambda declared: declared["kind"])
def test_timesteps_and_levels_are_inverse(declared: dict) -> None:
    schedule = build_schedule(declared)
    last = len(schedule.sigmas) - 1
    timesteps = torch.tensor([0.0, 0.25, 1.0, 77.7, last - 0.5, last], dtype=torch.float64)
    torch.testing.assert_close(schedule.timestep(schedule.sigma(timesteps)), timesteps, rtol=0, atol=1e-9)
    whole = torch.arange(last + 1, dtype=torch.float64)
    torch.testing.assert_close(schedule.sigma(whole), schedule.sigmas, rtol=1e-12, atol=0)
    torch.testing.assert_close(schedule.timestep(schedule.sigmas), whole, rtol=0, atol=1e-9)


def test_between_two_timesteps_log_sigma_is_linear() -> None:
    schedule = build_schedule(DDPM)
    middle = (schedule.sigmas[3] * schedule.sigmas[4]).sqrt()[None]
    assert schedule.timestep(middle).item() == pytest.approx(3.5, abs=1e-12)


def test_levels_outside_are_clamped_and_the_dtype_stays() -> None:
    schedule = build_schedule(DDPM)
    timesteps = schedule.timestep(torch.tensor([0.0, 1e-6, 1e6, math.inf]))
    assert timesteps.dtype == torch.float32
    assert timesteps.tolist() == [0.0, 0.0, 999.0, 999.0]


def test_cosine_is_the_closed_form_until_the_cap() -> None:
    """abar_t = f((t + 1) / T) / f(0) by definition; only the last beta exceeds 0.999."""
    alpha_bar = cosine_alpha_bar(1000)
    for t in (0, 100, 500, 998):
        closed = [math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2 for u in ((t + 1) / 1000, 0.0)]
        assert alpha_bar[t].item() == pytest.approx(closed[0] / closed[1], rel=1e-9)
    assert alpha_bar[999].item() == pytest.approx(alpha_bar[998].item() * 0.001, rel=1e-9)


def test_zero_terminal_snr_ends_in_pure_noise_and_keeps_the_start() -> None:
    before = linear_alpha_bar(1000, 1e-4, 0.02)
    after = with_zero_terminal_snr(before)
    assert after[0].item() == pytest.approx(before[0].item(), rel=1e-12)
    assert after[-1].item() == 0
    schedule = vp_schedule(after)
    assert len(schedule.sigmas) == 999  # the infinite level is no level
    assert schedule.sigma_max > vp_schedule(before).sigma_max


@pytest.mark.parametrize("declared", [DDPM, LATENT, COSINE, ZERO], ids=lambda declared: str(declared))
def test_agrees_with_diffusers_in_its_precision(declared: dict) -> None:
    from diffusers import DDPMScheduler

    betas = {key: declared[key] for key in ("beta_start", "beta_end") if key in declared}
    zero = declared.get("zero_terminal_snr", False)
    theirs = DDPMScheduler(beta_schedule=declared["kind"], rescale_betas_zero_snr=zero, **betas).alphas_cumprod.double()
    ours = 1 / (1 + build_schedule(declared).sigmas ** 2)
    torch.testing.assert_close(ours, theirs[: len(ours)], rtol=0, atol=1e-6)


def test_ve_levels_are_geometric() -> None:
    sigmas = ve_schedule(5, 0.01, 100.0).sigmas
    torch.testing.assert_close(sigmas, torch.tensor([0.01, 0.1, 1, 10, 100], dtype=torch.float64), rtol=1e-12, atol=0)


@pytest.mark.parametrize("sigmas", [[1.0], [0.0, 1.0], [1.0, 1.0], [2.0, 1.0], [1.0, math.inf], [1.0, math.nan]])
def test_what_is_no_schedule_is_refused(sigmas: list[float]) -> None:
    with pytest.raises(ValueError, match="levels"):
        Schedule(torch.tensor(sigmas))


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="'sigmoid'"):
        build_schedule({"kind": "sigmoid", "steps": 10})
