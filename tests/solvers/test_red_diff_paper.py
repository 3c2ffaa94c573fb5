"""The published algorithm, step by step (algorithms.md 1.2, 1.3, 10.1, 10.2, 10.4, 10.10)."""

import dataclasses

import pytest
import torch

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers.drive import drive
from solvers.levels import WEIGHTINGS, timesteps, vp_alpha_bar, vp_sigmas, weight
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.red_diff_paper import ADAM_EPS, per_pixel_weight
from tests.solvers.parts import Silence, operators, problem, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
TIMES = (0, 50, 259, 600, 999)


class Negated(NoiseStream):
    def normal(self, step, like, draw=0):
        return -super().normal(step, like, draw)


def dense_prior(seed: int = 0) -> DenseGaussianPrior:
    """Six correlated values with a mean."""
    rng = torch.Generator().manual_seed(seed)
    root = torch.randn(6, 6, generator=rng, dtype=torch.float64) * 0.3
    return DenseGaussianPrior(
        0.5 * torch.randn(6, generator=rng, dtype=torch.float64), root @ root.T + 0.01 * torch.eye(6)
    )


@pytest.mark.parametrize("t", TIMES)
def test_the_residual_in_either_frame(t):
    """10.1: with x_t = a mu + s e and the published eps_hat = (x_t - a x0) / s, eps_hat - e = (a / s)(mu - x0)."""
    abar = vp_alpha_bar()[t]
    a, s = abar.sqrt(), (1 - abar).sqrt()
    rng = torch.Generator().manual_seed(t)
    mu, e = torch.randn(2, 1, 3, 8, 8, generator=rng, dtype=torch.float64)
    x_t = a * mu + s * e
    x0 = MIXTURE.denoise(x_t / a, vp_sigmas()[t : t + 1])
    residual = (x_t - a * x0) / s - e
    assert torch.allclose(residual, (a / s) * (mu - x0), rtol=1e-10, atol=1e-12)
    assert torch.allclose(weight("linear", float(s / a)) * residual, mu - x0, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("t", TIMES)
def test_the_mean_residual_of_a_gaussian_prior(t):
    """10.2: E[eps_hat - e] = sigma (C + sigma^2)^-1 (mu - m). A network fed with scaled input fails this."""
    prior, sigma = dense_prior(), vp_sigmas()[t : t + 1]
    covariance = prior.basis @ torch.diag(prior.variances) @ prior.basis.T
    mu, e = torch.randn(2, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    pair = torch.stack([mu + sigma * e, mu - sigma * e]).reshape(2, 1, 1, 6)
    eps_hat = (pair - prior.denoise(pair, sigma.expand(2))).mean(0).flatten() / sigma
    expected = sigma * torch.linalg.solve(covariance + sigma**2 * torch.eye(6), mu - prior.mean)
    assert torch.allclose(eps_hat, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("kind", operators())
def test_one_step_is_adam_on_the_published_gradient(kind, weighting):
    """Bias correction makes the first step lr g / (|g| + eps'), so the step shows the gradient."""
    task = problem(operators()[kind])
    params = RedDiffParameters(mode="paper", steps=50, weighting=weighting, learning_rate=0.3, prior_weight=0.7)
    asked, _ = queries(red_diff(task, params, NoiseStream(2)), MIXTURE.denoise)
    first, mu = asked[0], asked[0].estimate
    assert torch.equal(mu, task.operator.pseudoinverse(task.measurement))  # no noise is added to the start
    sigma = float(vp_sigmas()[980])
    assert float(first.sigma) == pytest.approx(sigma)
    eps_hat = (first.x - MIXTURE.denoise(first.x, first.sigma)) / sigma
    eps = (first.x - mu) / sigma
    assert float(eps.std()) == pytest.approx(1, abs=0.15)
    misfit = task.operator.adjoint(task.operator.forward(mu) - task.measurement)
    g = misfit + 0.7 * weight(weighting, sigma) * (eps_hat - eps)
    # eps_hat - eps is a small difference of large numbers at this level
    assert torch.allclose(asked[1].estimate, mu - 0.3 * g / (g.abs() + ADAM_EPS), atol=1e-7)


def test_several_steps_are_adam_with_the_published_constants():
    """m = 0.9 m + 0.1 g, v = 0.99 v + 0.01 g^2, bias-corrected, eps outside the root; one state for the whole run."""
    task, lr = problem(Identity((1, 4, 4))), 0.1
    asked, _ = queries(red_diff(task, RedDiffParameters(mode="paper", steps=20), NoiseStream(2)), MIXTURE.denoise)
    m = v = torch.zeros_like(task.measurement)
    for k, (query, following) in enumerate(zip(asked, asked[1:], strict=False), start=1):
        mu = query.estimate
        g = mu - task.measurement + 0.25 * (mu - MIXTURE.denoise(query.x, query.sigma))
        m, v = 0.9 * m + 0.1 * g, 0.99 * v + 0.01 * g**2
        expected = mu - lr * (m / (1 - 0.9**k)) / ((v / (1 - 0.99**k)).sqrt() + 0.02)
        assert torch.allclose(following.estimate, expected, atol=1e-12)


def test_the_first_step_has_the_length_of_the_learning_rate():
    """|g| >> eps': every value moves by lr, whatever the gradient."""
    task = problem(Identity((1, 4, 4)))
    params = RedDiffParameters(mode="paper", prior_weight=50.0, learning_rate=0.25)
    asked, _ = queries(red_diff(task, params, NoiseStream(2)), lambda x, sigma: torch.full_like(x, 1e4))
    assert torch.allclose(asked[1].estimate - asked[0].estimate, torch.tensor(0.25).double(), atol=1e-6)


def test_what_is_returned_is_the_picture_before_the_last_step():
    task = problem(operators()["box"])
    asked, solution = queries(
        red_diff(task, RedDiffParameters(mode="paper", steps=20), NoiseStream(0)), MIXTURE.denoise
    )
    assert len(asked) == 20
    assert torch.equal(solution.x, asked[-1].estimate)
    assert not torch.equal(solution.x, asked[-2].estimate)


@pytest.mark.parametrize("order", ["descending", "ascending", "random"])
def test_levels_are_visited_in_order(order):
    noise = NoiseStream(8)
    params = RedDiffParameters(mode="paper", steps=300, order=order)
    asked, _ = queries(red_diff(problem(Identity((1, 2, 2))), params, noise), MIXTURE.denoise)
    visited = [int((vp_sigmas() - query.sigma).abs().argmin()) for query in asked]
    assert len(visited) == 334
    if order == "random":
        assert sorted(visited) == timesteps(300, "ascending")
        assert visited not in (timesteps(300, "ascending"), timesteps(300, "descending"))
    else:
        assert visited == timesteps(300, order)


def test_fresh_noise_at_each_step():
    asked, _ = queries(
        red_diff(problem(Identity((1, 40, 40))), RedDiffParameters(mode="paper", steps=20), NoiseStream(8)),
        MIXTURE.denoise,
    )
    noise = torch.stack([((query.x - query.estimate) / query.sigma).flatten() for query in asked])
    assert (torch.corrcoef(noise) - torch.eye(20)).abs().max() < 5 / 40


def test_the_noise_level_of_the_measurement_is_not_used():
    task = problem(operators()["mask"])
    params = RedDiffParameters(mode="paper", steps=20)
    other = dataclasses.replace(task, sigma_y=0.9)
    assert torch.equal(*(drive(red_diff(p, params, NoiseStream(0)), MIXTURE.denoise).x for p in (task, other)))


def test_the_mean_of_a_noise_and_its_negative_is_the_expected_step():
    """10.5: an antithetic pair has no noise for an affine denoiser."""
    task, params = problem(Identity((1, 4, 4))), RedDiffParameters(mode="paper", steps=20)
    prior = GaussianPrior(0.25, 0.1)
    silent, plus, minus = (
        queries(red_diff(task, params, noise), prior.denoise)[0] for noise in (Silence(3), NoiseStream(3), Negated(3))
    )

    def gradient(asked):
        return asked[0].estimate - prior.denoise(asked[0].x, asked[0].sigma)

    assert torch.allclose((gradient(plus) + gradient(minus)) / 2, gradient(silent), atol=1e-12)


def test_conversion_of_the_published_weight():
    """Algorithms 1.3, for lambda = 0.25 and v = 1."""
    pixels = 3 * 256**2
    assert per_pixel_weight(0.25, pixels, pixels) == 0.25
    assert per_pixel_weight(0.25, 3 * 64**2, pixels) == 0.015625
    assert per_pixel_weight(0.25, 3 * 32**2, pixels) == pytest.approx(0.0039, abs=1e-5)
    assert per_pixel_weight(0.25, pixels, pixels, data_weight=2.0) == 0.125


def test_the_per_pixel_gradient_is_the_published_one_scaled():
    """Gradient of v L_obs + lambda w L_reg with means over everything, by autograd, times B n / v."""
    operator = operators()["bicubic"]
    rng = torch.Generator().manual_seed(0)
    rows, published, v, w = 3, 0.25, 2.0, 1.7
    mu = torch.randn(rows, *operator.input_shape, generator=rng, dtype=torch.float64).requires_grad_()
    y = torch.randn(rows, *operator.output_shape, generator=rng, dtype=torch.float64)
    residual = torch.randn(mu.shape, generator=rng, dtype=torch.float64)
    loss = v * 0.5 * (y - operator.forward(mu)).square().mean() + published * w * (residual * mu).mean()
    loss.backward()
    m, n = y[0].numel(), mu[0].numel()
    ours = operator.adjoint(operator.forward(mu.detach()) - y) + per_pixel_weight(published, m, n, v) * w * residual
    assert torch.allclose(mu.grad * rows * m / v, ours, atol=1e-12)
