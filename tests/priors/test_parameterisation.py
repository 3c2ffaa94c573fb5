"""EDM preconditioning against its defining identities and against a network whose exact answer is known."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from priors.analytic import DenseGaussianPrior
from priors.base import Prior
from priors.manifest import PriorInfo
from priors.parameterisation import TIME_MAPS, EdmPrior, edm_preconditioning

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
