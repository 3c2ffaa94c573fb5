"""The loss of ScoreDVI as published: its terms, its gradients and where it is least (algorithms.md 10.6)."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Dirichlet, Gamma, kl_divergence

from priors.analytic import GaussianMixturePrior, GaussianPrior
from solvers.mixture import ALPHA, ALPHA0, DIRICHLET0
from solvers.score_dvi_loss import (
    LARGEST,
    SMALLEST,
    Factors,
    assignment_divergence,
    concentration_divergence,
    expected_log_prior,
    fit,
    loss,
    precision_divergence,
    samples,
    scores,
)

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
MU, VARIANCE, BETA = 0.6628111697, 0.0070751995, 0.0242291038
"""The least loss for y = 0.7, beta0 = 0.02, lambda = 0.5 and the prior N(0.4, 0.05)."""
PLUS_MINUS = torch.tensor([1.0, -1.0], dtype=torch.float64).reshape(2, 1, 1, 1, 1)
"""Two draws of mean 0 and variance 1: all that counts where the denoiser is affine."""


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def factors(components: int = 1, **changed) -> Factors:
    """One pixel; leaves of the graph."""
    values = {
        "mean": 0.5,
        "log_variance": math.log(0.01),
        "log_alpha": 0.1,
        "log_beta": math.log(0.05),
        "logits": 0.0,
        "log_dirichlet": 0.2,
    } | changed
    wanted = {
        name: torch.as_tensor(value, dtype=torch.float64).expand(components).reshape(-1, 1, 1, 1).clone()
        for name, value in values.items()
    }
    return Factors(**{name: value.requires_grad_() for name, value in wanted.items()})


def gradients(at: Factors, y: float, denoise, drawn: Tensor, beta0: float, prior_weight: float) -> dict[str, Tensor]:
    """Of the loss, by what it is for; `denoise` takes (D, K, 1, 1, 1) and its level."""
    leaves = vars(at)
    z = samples(at, drawn).detach()
    score = scores(at, z, denoise(z, at.variance.sqrt().detach()))
    value = loss(at, number(y).reshape(1, 1, 1), drawn, score, beta0, prior_weight)
    return dict(zip(leaves, torch.autograd.grad(value, list(leaves.values())), strict=True))


def descend(at: Factors, steps: int, y: float, denoise, beta0: float, prior_weight: float) -> Factors:
    """Adam, its step size falling to 1e-10."""
    leaves = vars(at)
    adam = torch.optim.Adam(leaves.values(), 0.05)
    drawn = PLUS_MINUS.expand(2, len(at.mean), 1, 1, 1)
    for step in range(steps):
        for name, gradient in gradients(at, y, denoise, drawn, beta0, prior_weight).items():
            leaves[name].grad = gradient
        for group in adam.param_groups:
            group["lr"] = 0.05 * 10 ** (-8 * max(0, step / steps - 0.25) / 0.75)
        adam.step()
    return Factors(**{name: value.detach() for name, value in leaves.items()})


def gaussian(z: Tensor, level: Tensor) -> Tensor:
    """D of N(0.4, 0.05) at a level for each pixel."""
    return 0.4 + 0.05 / (0.05 + level**2) * (z - 0.4)


def test_descent_finds_the_stationary_point_of_a_gaussian_prior():
    found = descend(factors(), 800, 0.7, gaussian, 0.02, 0.5)
    assert float(found.mean) == pytest.approx(MU, abs=1e-8)
    assert float(found.variance) == pytest.approx(VARIANCE, abs=1e-8)
    assert float(found.alpha) == pytest.approx(ALPHA, abs=1e-5)
    assert float(found.beta) == pytest.approx(BETA, abs=1e-7)


def test_equal_components_are_one():
    """They share the point of one alone, at equal weights: no gradient leads away from it."""
    logs = {"log_variance": math.log(VARIANCE), "log_alpha": math.log(ALPHA), "log_beta": math.log(BETA)}
    at = factors(3, mean=MU, log_dirichlet=math.log(DIRICHLET0 + 1 / 3), **logs)
    assert torch.allclose(at.weights, number(1 / 3), atol=1e-15)
    found = gradients(at, 0.7, gaussian, PLUS_MINUS.expand(2, 3, 1, 1, 1), 0.02, 0.5)
    assert all(torch.allclose(gradient, number(0.0), atol=1e-6) for gradient in found.values())
    mean, deviation = at.moments()
    assert float(mean.detach()) == pytest.approx(MU, abs=1e-12)
    assert float(deviation.detach()) == pytest.approx(math.sqrt(VARIANCE), abs=1e-12)
    assert float(at.precision().detach()) == pytest.approx(ALPHA / BETA, abs=1e-9)


def test_the_surrogate_has_the_gradient_of_the_blurred_density():
    """Sample by sample, the level held fixed."""
    drawn = number(0.7).reshape(1, 1, 1, 1, 1)
    at = factors(mean=0.1, log_variance=2 * math.log(0.3))
    z = samples(at, drawn)
    level = number(0.3).reshape(1)
    score = scores(at, z, MIXTURE.denoise(z[0], level)[None])
    surrogate = expected_log_prior(at, drawn, score).sum()
    found = torch.autograd.grad(surrogate, [at.mean, at.log_variance])
    density = MIXTURE.log_density(samples(at, drawn)[0], level).sum()
    expected = torch.autograd.grad(density, [at.mean, at.log_variance])
    for got, exact, known in zip(found, expected, (1.84717151, 0.19395301), strict=True):
        assert float(got) == pytest.approx(float(exact), abs=1e-10) == pytest.approx(known, abs=1e-8)


def test_a_curved_denoiser_by_stein():
    """E[D(z) n] = s E[D'(z)] is 0.32207512 at mu = 0.1, s = 0.3; the gradient vanishes at s^2 = lambda E[D'] / phi."""
    n = torch.linspace(-9, 9, 3001, dtype=torch.float64)
    weight = (-0.5 * n**2).exp() / (-0.5 * n**2).exp().sum()
    z = 0.1 + 0.3 * n
    denoised = MIXTURE.denoise(z.reshape(1, 1, 1, -1), number(0.3).reshape(1)).flatten()
    moment = float((weight * denoised * n).sum())
    assert moment == pytest.approx(0.32207512, abs=1e-8)
    at = factors(mean=0.1, log_variance=2 * math.log(0.3), log_alpha=math.log(1.5), log_beta=math.log(0.3))
    prior_weight = 1.5 / 0.3 * 0.3**2 / (moment / 0.3)
    drawn = (n * (weight * len(n)).sqrt()).reshape(-1, 1, 1, 1, 1)  # not normal, but weighs as if it were
    score = ((denoised - z) / 0.09 * (weight * len(n)).sqrt()).reshape(-1, 1, 1, 1, 1)
    value = loss(at, number(0.7).reshape(1, 1, 1), drawn, score, 0.08, prior_weight)
    assert float(torch.autograd.grad(value, at.log_variance)[0]) == pytest.approx(0, abs=1e-10)


def test_the_score_says_nothing_about_the_weights():
    """Published, the brighter component would gain."""
    dark_and_bright = {"mean": torch.tensor([0.1, 0.9])}
    same = {"log_variance": torch.log(torch.tensor([0.01, 0.01]))}
    found = gradients(factors(2, **dark_and_bright, **same), 0.5, gaussian, PLUS_MINUS.expand(2, 2, 1, 1, 1), 0.02, 2.0)
    assert torch.allclose(found["logits"], torch.zeros_like(found["logits"]), atol=1e-6)


def test_divergences_are_those_of_the_distributions():
    """Against torch.distributions, with other values for every component."""
    alpha, beta = number(2.3), number(0.07)
    value = precision_divergence(alpha, beta, 0.02)
    assert float(value) == pytest.approx(0.235768215, abs=1e-9)
    assert float(value) == pytest.approx(float(kl_divergence(Gamma(alpha, beta), Gamma(number(ALPHA0), number(0.02)))))
    d, weights = torch.tensor([1.4, 0.3, 2.0]).double(), torch.tensor([0.2, 0.5, 0.3]).double()
    flat = Dirichlet(torch.full_like(d, DIRICHLET0))
    assert float(concentration_divergence(d)) == pytest.approx(float(kl_divergence(Dirichlet(d), flat)), abs=1e-12)
    expected = -Categorical(probs=weights).entropy() - (weights * (torch.digamma(d) - torch.digamma(d.sum()))).sum()
    assert float(assignment_divergence(weights, d)) == pytest.approx(float(expected), abs=1e-7)


def test_the_fit_is_the_expected_likelihood():
    alpha, beta, misfit = number(2.3), number(0.07), number(0.05)
    logarithm = torch.linspace(-10, 8, 4001, dtype=torch.float64)
    phi = logarithm.exp()
    density = (Gamma(alpha, beta).log_prob(phi) + logarithm).exp()  # of the logarithm
    by_hand = (density * (0.5 * logarithm - 0.5 * phi * misfit)).sum() / density.sum()
    assert float(fit(alpha, beta, misfit)) == pytest.approx(float(by_hand), abs=1e-8)


def test_no_term_depends_on_the_size():
    """Means over pixels and channels: a picture twice as large has half the gradient in each pixel."""
    one = factors()
    twice = Factors(**{name: value.detach().repeat(1, 1, 1, 2) for name, value in vars(one).items()})
    y, drawn = number(0.7), PLUS_MINUS
    score = scores(one, samples(one, drawn), gaussian(samples(one, drawn), one.variance.sqrt()))
    small = loss(one, y.reshape(1, 1, 1), drawn, score, 0.02, 0.5)
    large = loss(twice, y.expand(1, 1, 2), drawn.expand(2, 1, 1, 1, 2), score.expand(2, 1, 1, 1, 2), 0.02, 0.5)
    assert float(small.detach()) == pytest.approx(float(large.detach()), abs=1e-14)


def test_nothing_leaves_its_limits():
    wild = factors(log_variance=-100.0, log_alpha=100.0, log_beta=-100.0, log_dirichlet=100.0)
    found = [float(value.detach()) for value in (wild.variance, wild.alpha, wild.beta, wild.dirichlet)]
    assert found == pytest.approx([SMALLEST, LARGEST, SMALLEST, LARGEST])


def test_no_gradient_goes_through_the_denoiser():
    at = factors()
    z = samples(at, PLUS_MINUS)
    assert not scores(at, z, GaussianPrior(0.05, 0.4).denoise(z[:, 0], number(0.1).repeat(2))[:, None]).requires_grad
