"""The analytic priors against independent computations: linear algebra, quadrature and automatic differentiation."""

import math

import pytest
import torch

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from priors.base import Prior

torch.manual_seed(0)
_FACTOR = torch.randn(12, 12, dtype=torch.float64) / 4
COVARIANCE = _FACTOR @ _FACTOR.T + 0.01 * torch.eye(12, dtype=torch.float64)
MEAN = torch.linspace(-0.5, 0.5, 12, dtype=torch.float64)
PRIORS = {
    "gaussian": GaussianPrior(0.3, 0.2),
    "dense": DenseGaussianPrior(MEAN, COVARIANCE),
    "mixture": GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04),
}
SIGMA = torch.tensor([0.05, 0.3, 40.0], dtype=torch.float64)


def noisy() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(3, 3, 2, 2, generator=generator, dtype=torch.float64)
    return x * (0.3 + SIGMA.reshape(-1, 1, 1, 1))


@pytest.mark.parametrize("name", PRIORS)
def test_keeps_the_contract(name: str) -> None:
    prior, x = PRIORS[name], noisy()
    assert isinstance(prior, Prior)
    single = prior.denoise(x.float(), SIGMA.float())
    assert single.shape == x.shape and single.dtype == torch.float32
    torch.testing.assert_close(single.double(), prior.denoise(x, SIGMA), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", PRIORS)
def test_rows_do_not_influence_each_other(name: str) -> None:
    prior, x = PRIORS[name], noisy()
    alone = torch.cat([prior.denoise(x[i : i + 1], SIGMA[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(prior.denoise(x, SIGMA), alone, rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", PRIORS)
def test_score_is_the_gradient_of_the_log_density(name: str) -> None:
    prior, x = PRIORS[name], noisy().requires_grad_()
    (gradient,) = torch.autograd.grad(prior.log_density(x, SIGMA).sum(), x)
    torch.testing.assert_close(prior.score(x.detach(), SIGMA), gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", PRIORS)
def test_tweedie(name: str) -> None:
    prior, x = PRIORS[name], noisy()
    expected = x + SIGMA.reshape(-1, 1, 1, 1) ** 2 * prior.score(x, SIGMA)
    torch.testing.assert_close(prior.denoise(x, SIGMA), expected, rtol=1e-9, atol=1e-11)


def test_dense_gaussian_solves_the_normal_equations() -> None:
    x = noisy()
    for row, sigma in zip(x, SIGMA, strict=True):
        noise = sigma**2 * torch.eye(12, dtype=torch.float64)
        expected = MEAN + COVARIANCE @ torch.linalg.solve(COVARIANCE + noise, row.flatten() - MEAN)
        result = PRIORS["dense"].denoise(row[None], sigma[None]).flatten()
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-11)


def test_dense_gaussian_with_a_diagonal_covariance_is_the_pixelwise_one() -> None:
    dense = DenseGaussianPrior(torch.full((12,), 0.2), 0.3 * torch.eye(12, dtype=torch.float64))
    x = noisy()
    torch.testing.assert_close(dense.denoise(x, SIGMA), PRIORS["gaussian"].denoise(x, SIGMA), rtol=0, atol=1e-7)
    density = PRIORS["gaussian"].log_density(x, SIGMA)
    torch.testing.assert_close(dense.log_density(x, SIGMA), density, rtol=1e-6, atol=1e-6)


def test_singular_covariance_keeps_the_certain_directions() -> None:
    dense = DenseGaussianPrior(MEAN, torch.zeros(12, 12))
    x = noisy()
    torch.testing.assert_close(dense.denoise(x, SIGMA).flatten(1), MEAN.expand(3, 12))


def test_mixture_denoiser_is_the_posterior_mean_by_quadrature() -> None:
    prior, sigma, x = PRIORS["mixture"], 0.3, 0.17
    clean = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
    density = sum(
        w * torch.exp(-0.5 * (clean - m) ** 2 / 0.04) for w, m in zip(prior.weights, prior.means, strict=True)
    )
    posterior = density * torch.exp(-0.5 * (x - clean) ** 2 / sigma**2)
    expected = float((posterior * clean).sum() / posterior.sum())
    result = prior.denoise(torch.full((1, 1, 1, 1), x, dtype=torch.float64), torch.tensor([sigma], dtype=torch.float64))
    assert result.item() == pytest.approx(expected, abs=1e-10)


def test_mixture_far_from_every_mean_stays_finite() -> None:
    x = torch.tensor([[[[1e4, -1e4]]]])
    assert torch.isfinite(PRIORS["mixture"].denoise(x, torch.tensor([0.01]))).all()


def test_kl_gradient_of_the_mixture() -> None:
    """d/dmu KL(N(mu, sigma^2) || p_sigma) = E[(z - D(z)) / sigma^2], against the derivative of the KL by quadrature.

    w = (.3, .7), m = (-.5, .6), c = .04, mu = .1, sigma = .3 gives -0.96996961.
    """
    import numpy as np

    prior, mu, sigma = PRIORS["mixture"], 0.1, 0.3
    nodes, weights = (torch.from_numpy(a) for a in np.polynomial.hermite_e.hermegauss(80))
    weights = weights / weights.sum()

    def at(centre: float) -> torch.Tensor:
        return (centre + sigma * nodes).reshape(-1, 1, 1, 1)

    level = torch.full((80,), sigma, dtype=torch.float64)
    z = at(mu)
    formula = (weights * ((z - prior.denoise(z, level)) / sigma**2).flatten()).sum().item()

    def kl(centre: float) -> float:  # the entropy of N(mu, sigma^2) does not depend on mu
        return -(weights * prior.log_density(at(centre), level)).sum().item()

    numerical = (kl(mu + 1e-5) - kl(mu - 1e-5)) / 2e-5
    assert formula == pytest.approx(-0.96996961, abs=1e-6)
    assert formula == pytest.approx(numerical, abs=1e-6)


def test_gaussian_posterior_moments_by_sampling() -> None:
    generator = torch.Generator().manual_seed(2)
    prior, sigma, count = GaussianPrior(0.25, -0.1), 0.4, 200_000
    clean = -0.1 + 0.5 * torch.randn(count, 1, 1, 1, generator=generator)
    x = clean + sigma * torch.randn(count, 1, 1, 1, generator=generator)
    error = clean - prior.denoise(x, torch.full((count,), sigma))
    # posterior variance c sigma^2 / (c + sigma^2); the error is uncorrelated with the observation
    assert error.square().mean().item() == pytest.approx(0.25 * 0.16 / 0.41, rel=0.01)
    assert abs((error * x).mean().item()) < 4 * math.sqrt(0.0976 * 0.41 / count)
