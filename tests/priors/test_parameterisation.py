"""Every parameterisation against its defining identity and against a network whose exact answer is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.analytic import DenseGaussianPrior, GaussianPrior
from priors.base import Prior
from priors.declaration import Declaration
from priors.manifest import PriorError, PriorInfo
from priors.parameterisation import SIGNAL, TIME_MAPS, EdmPrior, adapt, edm_preconditioning
from tests.priors.denoisers import random_network
from tests.priors.ideal import BLIND, DDPM, DECLARED, INFO, WITHIN, Blind, Ideal, prediction

LEVELS = torch.tensor([0.01, 0.1, 0.5, 1.0, 8.0, 80.0], dtype=torch.float64)
INVERSE_TIME_MAPS = {
    "250*ln(sigma)": lambda time: (time / 250).exp(),
    "ln(sigma)/4": lambda time: (4 * time).exp(),
}


class ExactNetwork(nn.Module):
    """F(c_in x, time) of an ideally trained network: the Gaussian denoiser behind EDM preconditioning."""

    def __init__(self, denoiser: DenseGaussianPrior, sigma_data: float, time_map: str):
        super().__init__()
        self.denoiser = denoiser
        self.sigma_data = sigma_data
        self.sigma = INVERSE_TIME_MAPS[time_map]

    def forward(self, scaled: Tensor, time: Tensor) -> Tensor:
        sigma = self.sigma(time)
        variance = sigma.reshape(-1, 1, 1, 1) ** 2 + self.sigma_data**2
        x = scaled * variance.sqrt()
        clean = self.denoiser.denoise(x, sigma)
        return (
            (clean - self.sigma_data**2 / variance * x)
            * variance.sqrt()
            / (sigma.reshape(-1, 1, 1, 1) * self.sigma_data)
        )


def test_input_and_target_have_unit_variance() -> None:
    """Of data with variance sigma_data^2: c_in^2 (sigma^2 + sd^2) = 1 and Var[(x0 - c_skip x) / c_out] = 1."""
    c_skip, c_out, c_in = (part.flatten() for part in edm_preconditioning(LEVELS, 0.5))
    ones = torch.ones_like(LEVELS)
    torch.testing.assert_close(c_in**2 * (LEVELS**2 + 0.25), ones, rtol=1e-14, atol=0)
    target = ((1 - c_skip) ** 2 * 0.25 + c_skip**2 * LEVELS**2) / c_out**2
    torch.testing.assert_close(target, ones, rtol=1e-12, atol=0)


def test_with_unit_data_the_network_predicts_minus_v() -> None:
    """sigma_data = 1: c_in x_ve is the VP state a x0 + s eps, and F = -v = s x0 - a eps."""
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 6, 3, 4, 4, generator=generator, dtype=torch.float64)
    sigma = LEVELS.reshape(-1, 1, 1, 1)
    a, s = 1 / (1 + sigma**2).sqrt(), sigma / (1 + sigma**2).sqrt()
    c_skip, c_out, c_in = edm_preconditioning(LEVELS, 1.0)
    x = x0 + sigma * eps
    torch.testing.assert_close(c_in * x, a * x0 + s * eps, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(c_skip * x + c_out * (s * x0 - a * eps), x0, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("time_map", TIME_MAPS)
@pytest.mark.parametrize("sigma_data", [0.5, 1.0])
def test_mean_gradient_of_an_exact_network(time_map: str, sigma_data: float) -> None:
    """E_e[eps_hat - e] = sigma (C + sigma^2)^-1 (mu - m); the average over e and -e is exact for an affine denoiser.

    Fails for an adapter that scales the input wrongly, maps the time wrongly or mixes up the levels of a batch.
    """
    generator = torch.Generator().manual_seed(1)
    factor = torch.randn(12, 12, generator=generator, dtype=torch.float64) / 4
    covariance = factor @ factor.T + 0.02 * torch.eye(12, dtype=torch.float64)
    mean, mu = torch.randn(2, 12, generator=generator, dtype=torch.float64) / 2
    network = ExactNetwork(DenseGaussianPrior(mean, covariance), sigma_data, time_map)
    info = PriorInfo(name="exact", sigma_min=0.005, sigma_max=100.0)
    prior = EdmPrior(network, info, sigma_data=sigma_data, time_map=time_map)

    sigma = LEVELS.reshape(-1, 1)
    e = torch.randn(len(LEVELS), 12, generator=generator, dtype=torch.float64)
    difference = torch.zeros_like(e)
    for noise in (e, -e):
        z = mu + sigma * noise
        x0 = prior.denoise(z.reshape(-1, 3, 2, 2), LEVELS).flatten(1)
        difference += ((z - x0) / sigma - noise) / 2
    identity = torch.eye(12, dtype=torch.float64)
    expected = torch.stack([s * torch.linalg.solve(covariance + s**2 * identity, mu - mean) for s in LEVELS])
    torch.testing.assert_close(difference, expected, rtol=1e-9, atol=1e-9)


def test_levels_outside_the_training_are_answered_by_the_nearest() -> None:
    class Time(nn.Module):
        def forward(self, x: Tensor, time: Tensor) -> Tensor:
            return x.abs() + time.reshape(-1, 1, 1, 1)

    info = PriorInfo(name="time", sigma_min=0.01, sigma_max=10.0)
    prior = EdmPrior(Time(), info, sigma_data=0.5, time_map="ln(sigma)/4")
    x = torch.ones(4, 3, 2, 2)
    answer = prior.denoise(x, torch.tensor([0.0, 0.01, 10.0, 1e6]))
    assert torch.isfinite(answer).all()
    assert torch.equal(answer[0], answer[1])
    assert not torch.equal(answer[1], answer[2])
    # the network never meets more noise than it was trained on
    shrunk = prior.denoise(x[3:] * (10.0 / 1e6), torch.tensor([10.0]))
    assert torch.allclose(answer[3:], shrunk, rtol=1e-5, atol=0)


@pytest.mark.parametrize("data_range", [(-1.0, 1.0), (0.0, 1.0)], ids=str)
def test_above_small_levels_the_answer_is_stretched_as_wiener_would(data_range: tuple[float, float]) -> None:
    """Of a signal of deviation 10 the answer far above the training is exact; it would be fainter by sigma / 0.5."""
    exact = GaussianPrior(SIGNAL**2)
    declared = Declaration("denoised", "sigma", data_range=data_range)
    middle, half = sum(data_range) / 2, (data_range[1] - data_range[0]) / 2

    class Wiener(nn.Module):
        def forward(self, x: Tensor, level: Tensor) -> Tensor:
            return middle + half * exact.denoise((x - middle) / half, level / half)

    prior = adapt(Wiener(), PriorInfo(name="short", sigma_min=0.01, sigma_max=0.5), declared)
    sigma = torch.tensor([0.4, 0.5, 0.6, 2.0, 10.0, 80.0], dtype=torch.float64)
    x = torch.randn(6, 3, 4, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    torch.testing.assert_close(prior.denoise(x, sigma), exact.denoise(x, sigma), rtol=1e-12, atol=1e-12)


def test_slope_of_the_bundled_priors(bundled: list[Prior], dead_leaves: Callable[[int, int], Tensor]) -> None:
    """<eps_hat, e> / <e, e> rises with sigma towards 1; an adapter with wrong scaling or time breaks it at once."""
    clean = torch.cat([dead_leaves(64, seed) for seed in range(4)])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    for prior in bundled:
        slopes = []
        for sigma in (0.05, 0.1, 0.2, 0.5, 1.0, 2.0):
            noisy = clean + sigma * noise
            with torch.no_grad():
                eps_hat = (noisy - prior.denoise(noisy, torch.full((4,), sigma))) / sigma
            slopes.append(((eps_hat * noise).sum() / noise.square().sum()).item())
        assert slopes == sorted(slopes)
        assert 0.3 < slopes[0] < slopes[-1] < 1  # dead leaves have more texture than photographs, where 0.7 is measured
        assert min(slopes[2:]) > 0.5


CIFAR = Path(__file__).parents[3] / "shared" / "data" / "weights" / "ddpm_cifar10_tiny" / "ddpm.pth"
"""Weights that are too large for this repository; the test that wants them is skipped without."""


class Constant(nn.Module):
    """Answers the same whatever it is asked."""

    def __init__(self, answer: Tensor):
        super().__init__()
        self.answer = answer

    def forward(self, _state: Tensor, _time: Tensor) -> Tensor:
        return self.answer


@pytest.mark.parametrize("name", DECLARED)
def test_ideal_networks_become_the_exact_denoiser(name: str, gaussian: DenseGaussianPrior) -> None:
    """Fails for wrong scaling, sign, time or data range; all levels in one batch, and one by one."""
    prior = adapt(Ideal(gaussian, DECLARED[name]), INFO, DECLARED[name])
    x = 3 * torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    answer = prior.denoise(x, WITHIN)
    torch.testing.assert_close(answer, gaussian.denoise(x, WITHIN), rtol=1e-9, atol=1e-9)
    alone = torch.cat([prior.denoise(x[i : i + 1], WITHIN[i : i + 1]) for i in range(6)])
    torch.testing.assert_close(answer, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", DECLARED)
def test_mean_gradient_of_every_parameterisation(name: str, gaussian: DenseGaussianPrior) -> None:
    """E_e[eps_hat - e] = sigma (C + sigma^2)^-1 (mu - m), exact as the average over e and -e."""
    prior = adapt(Ideal(gaussian, DECLARED[name]), INFO, DECLARED[name])
    generator = torch.Generator().manual_seed(4)
    mu = torch.randn(12, generator=generator, dtype=torch.float64)
    e = torch.randn(6, 12, generator=generator, dtype=torch.float64)
    sigma = WITHIN.reshape(-1, 1)
    difference = torch.zeros_like(e)
    for noise in (e, -e):
        z = mu + sigma * noise
        difference += ((z - prior.denoise(z.reshape(-1, 3, 2, 2), WITHIN).flatten(1)) / sigma - noise) / 2
    covariance = gaussian.basis @ torch.diag(gaussian.variances) @ gaussian.basis.T
    identity = torch.eye(12, dtype=torch.float64)
    expected = [s * torch.linalg.solve(covariance + s**2 * identity, mu - gaussian.mean) for s in WITHIN]
    torch.testing.assert_close(difference, torch.stack(expected), rtol=1e-9, atol=1e-9)


def test_a_blind_network_keeps_the_contract(gaussian: DenseGaussianPrior) -> None:
    """The exact denoiser, and with it its mean gradient, but for the level: an adapter cannot get that wrong here."""
    told = Ideal(gaussian, DECLARED["denoised"])
    prior = adapt(Blind(told, WITHIN / 2), INFO, BLIND)  # pictures on [0, 1] have half the noise
    x = 3 * torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    torch.testing.assert_close(prior.denoise(x, WITHIN), gaussian.denoise(x, WITHIN), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", [*DECLARED, "residual"])
def test_the_clean_image_comes_back_from_every_prediction(name: str) -> None:
    """x0 -> prediction -> x0 in float64, whatever the network said."""
    declared = (DECLARED | {"residual": BLIND})[name]
    low, high = declared.data_range
    half, middle = (high - low) / 2, (high + low) / 2
    x0, eps = torch.randn(2, 6, 3, 2, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    sigma = WITHIN.reshape(-1, 1, 1, 1)
    answered = prediction(declared, middle + half * x0, eps, half * sigma)
    prior = adapt(Constant(answered), INFO, declared)
    torch.testing.assert_close(prior.denoise(x0 + sigma * eps, WITHIN), x0, rtol=1e-12, atol=1e-12)


def test_a_schedule_must_know_the_declared_levels() -> None:
    declared = Declaration("eps", "index", schedule=DDPM)
    with pytest.raises(PriorError, match="but its schedule knows 0.0100005 to 157.407"):
        adapt(nn.Identity(), PriorInfo(name="p", sigma_min=0.01, sigma_max=200.0), declared)


def test_numbers_that_make_no_schedule_are_refused() -> None:
    flat = {"kind": "linear", "steps": 1000, "beta_start": 1e-300, "beta_end": 1e-300}
    with pytest.raises(PriorError, match="its schedule is none"):
        adapt(nn.Identity(), INFO, Declaration("eps", "index", schedule=flat))


class CifarUNet(nn.Module):
    """A small eps network trained on CIFAR-10 by others (532,419 weights); it reads the level off the picture."""

    def __init__(self, state: dict[str, Tensor]):
        super().__init__()
        self.weights = state

    def forward(self, x: Tensor, _time: Tensor) -> Tensor:
        outer = functional.conv2d(x, *self._layer("down1.0"), padding=1).relu()
        inner = functional.conv2d(outer, *self._layer("down2.0"), stride=2, padding=1).relu()
        inner = functional.conv2d(inner, *self._layer("middle"), padding=1)
        inner = functional.conv_transpose2d(inner, *self._layer("up1.0"), stride=2, padding=1).relu()
        joined = functional.conv2d(inner, *self._layer("conv1x1")) + outer
        joined = functional.conv2d(joined, *self._layer("up2.0"), padding=1).relu()
        return functional.conv2d(joined, *self._layer("up2.2"), padding=1)

    def _layer(self, name: str) -> tuple[Tensor, Tensor]:
        return self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]


@pytest.mark.skipif(not CIFAR.is_file(), reason=f"no weights at {CIFAR}")
def test_slope_of_a_real_eps_network(dead_leaves: Callable[[int, int], Tensor]) -> None:
    """Of a network trained by others: the slope is in (0.5, 1) and rises, and pictures get better at every level."""
    network = CifarUNet(torch.load(CIFAR, map_location="cpu", weights_only=True))
    info = PriorInfo(name="cifar", sigma_min=0.0101, sigma_max=157.0)
    prior = adapt(network, info, Declaration("eps", "index", schedule=DDPM))
    clean = torch.cat([dead_leaves(64, seed) for seed in range(4)])
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    slopes = []
    for sigma in (0.1, 0.2, 0.35, 0.7):
        noisy = clean + sigma * noise
        with torch.no_grad():
            x0 = prior.denoise(noisy, torch.full((4,), sigma))
        assert (x0 - clean).square().mean() < (noisy - clean).square().mean() / 2
        slopes.append((((noisy - x0) / sigma * noise).sum() / noise.square().sum()).item())
    assert slopes == sorted(slopes)
    assert 0.5 < slopes[0] < slopes[-1] < 1.0


TOLD = {"FFDNet": Declaration("denoised", "sigma"), "NoiseMapUNet": Declaration("residual", "sigma")}


@pytest.mark.parametrize("name", TOLD)
def test_a_network_that_takes_maps_is_told_every_pixel(name: str) -> None:
    prior = adapt(random_network(name), PriorInfo(name="p", sigma_min=0.01, sigma_max=0.5), TOLD[name])
    x, sigma = torch.randn(2, 3, 8, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([0.1, 0.4])
    flat = sigma.reshape(2, 1, 1, 1).expand(2, 1, 8, 12)
    torch.testing.assert_close(prior.denoise(x, flat), prior.denoise(x, sigma))
    halves = flat.clone()
    halves[..., 6:] = 0.2
    assert (prior.denoise(x, halves) - prior.denoise(x, sigma)).abs().max() > 1e-3


class TimedNetwork(nn.Module):
    """Its answer depends on the time."""

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return x * (time.reshape(-1, 1, 1, 1) / 1000)


def test_others_are_told_the_root_mean_square() -> None:
    prior = adapt(
        TimedNetwork(), PriorInfo(name="p", sigma_min=0.02, sigma_max=5.0), Declaration("eps", "index", schedule=DDPM)
    )
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    levels = torch.full((1, 1, 8, 8), 0.3)
    levels[..., :4] = 0.1
    once = prior.denoise(x, torch.tensor([((0.3**2 + 0.1**2) / 2) ** 0.5]))
    torch.testing.assert_close(prior.denoise(x, levels), once)
