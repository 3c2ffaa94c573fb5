"""The published algorithm, step by step (algorithms.md 1.2, 1.3, 10.1, 10.2, 10.4, 10.10)."""

import dataclasses

import pytest
import torch

from priors.analytic import DenseGaussianPrior, GaussianMixturePrior, GaussianPrior
from solvers.drive import drive
from solvers.levels import WEIGHTINGS, timesteps, vp_alpha_bar, vp_sigmas, weight
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.red_diff_paper import ADAM_EPS, per_pixel_eps, per_pixel_weight
from tests.solvers.parts import Cubic, RowStreams, Silence, operators, problem, queries

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


def test_conversion_of_the_published_epsilon():
    """Algorithms 1.3: 256 px images in batches of 1, 10, 20, 30, and one of 512 px."""
    pixels = 3 * 256**2
    assert [per_pixel_eps(batch, pixels) for batch in (1, 10, 20, 30)] == pytest.approx(
        [0.0020, 0.020, 0.039, 0.059], abs=5e-4
    )
    assert per_pixel_eps(1, 3 * 512**2) == pytest.approx(0.0079, abs=5e-5)
    assert per_pixel_eps(1, pixels // 16, 2.0) == pytest.approx(per_pixel_eps(1, pixels) / 32)


@pytest.mark.parametrize("posterior_std", [0.0, 0.05])
def test_the_published_loop(posterior_std):
    """Algorithms 1.2, transcribed with its means over the batch, its frame x_t and its Adam, converted by 1.3."""
    operator, rows, published, v, lr = operators()["bicubic"], 3, 0.7, 2.0, 0.1
    task, seeds = problem(operator, rows=rows), (3, 1, 4)
    noise = RowStreams(0, seeds)
    m, n = task.measurement[0].numel(), 3 * 12 * 16
    params = RedDiffParameters(
        mode="paper",
        steps=20,
        learning_rate=lr,
        prior_weight=per_pixel_weight(published, m, n, v),
        adam_eps=per_pixel_eps(rows, m, v),
        **({"posterior_std": posterior_std} if posterior_std else {}),
    )
    ours = drive(red_diff(task, params, noise), MIXTURE.denoise).x

    mu = operator.pseudoinverse(task.measurement).requires_grad_()
    adam = torch.optim.Adam([mu], lr, (0.9, 0.99), 1e-8)
    for step, t in enumerate(timesteps(20)):
        abar = vp_alpha_bar()[t]
        a, s = abar.sqrt(), (1 - abar).sqrt()
        e, n0 = noise.normal(step, mu.detach()), noise.normal(step, mu.detach(), 3)
        xp = mu + posterior_std * n0
        x_t = (a * xp + s * e).detach()
        x0 = MIXTURE.denoise(x_t / a, (s / a).expand(rows))
        eps_hat = (x_t - a * x0) / s
        loss = v * 0.5 * (task.measurement - operator.forward(xp)).square().mean()
        loss = loss + published * (s / a) * ((eps_hat - e) * xp).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert torch.allclose(ours, xp.detach(), atol=1e-8)


def test_the_posterior_deviation_is_in_the_picture_that_is_returned():
    """Fact a of algorithms 1.2: what is saved is x, not mu."""
    task = problem(Identity((1, 60, 60)))
    params = RedDiffParameters(mode="paper", steps=20, posterior_std=0.2)
    asked, solution = queries(red_diff(task, params, NoiseStream(0)), MIXTURE.denoise)
    assert torch.equal(solution.x, asked[-1].estimate)
    started = asked[0].estimate - task.measurement
    assert float(started.std()) == pytest.approx(0.2, rel=0.05)
    assert float((asked[0].x - asked[0].estimate).std() / asked[0].sigma) == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("order", ["descending", "random"])
def test_parallel_timesteps_are_rows_of_one_query(order):
    task, sigmas = problem(operators()["mask"]), vp_sigmas()
    params = RedDiffParameters(mode="paper", steps=50, parallel=4, order=order)
    one = dataclasses.replace(params, parallel=1)
    asked, _ = queries(red_diff(task, params, NoiseStream(0)), MIXTURE.denoise)
    alone, _ = queries(red_diff(task, one, NoiseStream(0)), MIXTURE.denoise)
    assert [len(query.x) for query in asked] == [4] * 12 + [2]
    assert {query.total for query in asked} == {13}
    assert torch.equal(torch.cat([query.sigma for query in asked]), torch.cat([query.sigma for query in alone]))
    assert all(query.estimate.shape[0] == 1 for query in asked)
    # one mu, and the noise that each timestep would have met alone
    for k, query in enumerate(asked):
        for row in range(len(query.x)):
            drawn = (query.x[row] - query.estimate[0]) / query.sigma[row]
            assert torch.allclose(drawn, NoiseStream(0).normal(4 * k + row, query.estimate)[0], atol=1e-9)
    assert sorted(float(s) for query in asked for s in query.sigma)[0] == pytest.approx(float(sigmas[0]))


def test_parallel_timesteps_are_averaged():
    """The step is Adam on the mean of the gradients, each with its own weight."""
    task = problem(operators()["box"])
    params = RedDiffParameters(
        mode="paper", steps=50, parallel=3, weighting="square", order="ascending", prior_weight=0.7, learning_rate=0.3
    )
    asked, _ = queries(red_diff(task, params, NoiseStream(2)), MIXTURE.denoise)
    first, mu = asked[0], asked[0].estimate
    denoised = MIXTURE.denoise(first.x, first.sigma)
    terms = [float(s) ** 2 * (mu[0] - d) / s for s, d in zip(first.sigma, denoised, strict=True)]
    g = task.operator.adjoint(task.operator.forward(mu) - task.measurement) + 0.7 * torch.stack(terms).mean(0)
    assert torch.allclose(asked[1].estimate, mu - 0.3 * g / (g.abs() + ADAM_EPS), atol=1e-12)


def test_a_batch_with_parallel_timesteps_equals_its_rows_alone():
    operator, seeds = operators()["box"], (3, 1)
    task, params = problem(operator, rows=2), RedDiffParameters(mode="paper", steps=20, parallel=4)
    together = drive(red_diff(task, params, RowStreams(0, seeds)), MIXTURE.denoise).x
    alone = [
        drive(red_diff(Problem(y, operator, task.sigma_y), params, NoiseStream(seed)), MIXTURE.denoise).x
        for y, seed in zip(task.measurement.split(1), seeds, strict=True)
    ]
    assert torch.allclose(together, torch.cat(alone), atol=1e-12)


@pytest.mark.parametrize(("weighting", "sigma_y", "last"), [("linear", 0.2, 0.4), ("const", 0.2, 0.16)])
def test_the_ending_at_the_noise(weighting, sigma_y, last):
    """lambda sigma w(sigma) = sigma_y^2, for the linear weight at sigma_y / sqrt(lambda); lambda is 0.25."""
    params = RedDiffParameters(mode="paper", steps=1000, weighting=weighting, ending="noise")
    asked, _ = queries(red_diff(problem(Identity((1, 2, 2)), sigma_y), params, NoiseStream(0)), MIXTURE.denoise)
    levels = [float(query.sigma) for query in asked]
    assert last <= levels[-1] < last + 0.005
    above = [float(sigma) for sigma in vp_sigmas().flip(0) if sigma >= last]
    assert levels == above + [levels[-1]] * (1000 - len(above))


def test_the_last_step_of_the_ending_at_the_noise_is_small():
    params = RedDiffParameters(mode="paper", ending="noise", learning_rate=0.5)
    asked, solution = queries(red_diff(problem(Identity((1, 8, 8)), 0.2), params, NoiseStream(0)), MIXTURE.denoise)
    moves = [float((b.estimate - a.estimate).abs().max()) for a, b in zip(asked, asked[1:], strict=False)]
    assert moves[0] == pytest.approx(0.5, rel=0.1)
    assert moves[-1] < 0.02
    assert torch.equal(solution.x, asked[-1].estimate)


def test_noise_above_every_level_is_met_at_the_highest():
    params = RedDiffParameters(mode="paper", ending="noise")
    asked, _ = queries(red_diff(problem(Identity((1, 2, 2)), 1000.0), params, NoiseStream(0)), MIXTURE.denoise)
    assert {float(query.sigma) for query in asked} == {float(vp_sigmas()[999])}


def test_a_measurement_that_is_not_linear():
    """Step by step Adam on J^T (f(mu) - y) and the prior's term."""
    task = problem(Cubic((1, 4, 4)))
    asked, _ = queries(red_diff(task, RedDiffParameters(mode="paper", steps=20), NoiseStream(2)), MIXTURE.denoise)
    mu, denoised = asked[0].estimate, MIXTURE.denoise(asked[0].x, asked[0].sigma)
    assert torch.equal(mu, task.measurement)
    g = (1 + 3 * mu**2) * (mu + mu**3 - task.measurement) + 0.25 * (mu - denoised)
    assert torch.allclose(asked[1].estimate, mu - 0.1 * g / (g.abs() + ADAM_EPS), atol=1e-12)
