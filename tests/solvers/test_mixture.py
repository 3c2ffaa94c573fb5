"""Precisions and weights of the mixture: identities of algorithms.md 10.6c to h."""

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Dirichlet, Gamma, StudentT, kl_divergence

from solvers.mixture import ALPHA, ALPHA0, DIRICHLET0, concentrations, evidence, moments, rate, responsibilities

BETA0 = 0.02


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def test_the_evidence_is_the_expected_likelihood_less_the_divergence():
    misfit = number(0.0531)
    beta = rate(BETA0, misfit)
    posterior, prior = Gamma(number(ALPHA), beta), Gamma(number(ALPHA0), number(BETA0))
    expected = 0.5 * (torch.digamma(number(ALPHA)) - beta.log()) - 0.5 * misfit * ALPHA / beta
    assert float(evidence(BETA0, beta)) == pytest.approx(0.56803717, abs=1e-8)
    assert float(evidence(BETA0, beta)) == pytest.approx(float(expected - kl_divergence(posterior, prior)), abs=1e-12)


@pytest.mark.parametrize("residual", [0.0, 0.3, 2.0])
def test_noise_is_student_t_of_two_degrees_of_freedom(residual):
    density = evidence(BETA0, rate(BETA0, number(residual**2))).exp() / math.sqrt(2 * math.pi)
    student = StudentT(number(2 * ALPHA0), scale=number(BETA0 / ALPHA0).sqrt())
    assert float(density) == pytest.approx(float(student.log_prob(number(residual)).exp()), rel=1e-12)
    if residual == 0.3:
        assert float(density) == pytest.approx(0.42669246, abs=1e-8)


def test_the_precision_has_a_limit():
    precision = ALPHA / rate(BETA0, torch.tensor([0.0, 1e-6, 1.0]))
    assert float(precision.max()) == pytest.approx(ALPHA / BETA0)
    assert (precision.diff() < 0).all()


def test_moments_are_those_of_the_mixture():
    """Against many draws of it."""
    weights, means, variances = (
        torch.tensor(row, dtype=torch.float64) for row in ([0.2, 0.8], [-1.0, 0.5], [0.04, 0.3])
    )
    mean, deviation = moments(weights, means, variances)
    assert float(deviation**2) == pytest.approx(float((weights * (variances + means**2)).sum() - mean**2))
    rng = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(weights, 200_000, replacement=True, generator=rng)
    drawn = means[chosen] + variances[chosen].sqrt() * torch.randn(len(chosen), generator=rng, dtype=torch.float64)
    assert float(mean) == pytest.approx(float(drawn.mean()), abs=0.01)
    assert float(deviation) == pytest.approx(float(drawn.std()), abs=0.01)


def test_equal_components_have_equal_weights():
    equal = torch.full((3, 5), 0.1, dtype=torch.float64)
    weights = responsibilities(equal, equal, 0.5, torch.full_like(equal, DIRICHLET0))
    assert torch.allclose(weights, torch.full_like(weights, 1 / 3), atol=1e-15)


class TwoGaussians:
    """y with two components of known Gaussian priors N(m_k, c_k), pixel by pixel: an exact lower bound."""

    y = torch.linspace(-0.5, 1.2, 9, dtype=torch.float64)
    m = torch.tensor([[0.4], [-0.1]], dtype=torch.float64)
    c = torch.tensor([[0.05], [0.3]], dtype=torch.float64)

    def __init__(self, prior_weight: float):
        self.prior_weight = prior_weight
        self.mean = self.y.repeat(2, 1)
        self.variance = torch.full_like(self.mean, 0.02)
        self.beta = torch.full_like(self.mean, 0.5)
        self.weights = torch.tensor([[0.9], [0.1]], dtype=torch.float64).expand(2, 9)
        self.dirichlet = torch.tensor([[1.2], [3.0]], dtype=torch.float64).expand(2, 9)

    def misfit(self) -> Tensor:
        return (self.y - self.mean).square() + self.variance

    def log_prior(self) -> Tensor:
        return -0.5 * (((self.mean - self.m).square() + self.variance) / self.c + (2 * math.pi * self.c).log())

    def bound(self) -> Tensor:
        """Minus the loss of algorithms.md 4.3, per pixel: (9,)."""
        alpha = torch.full_like(self.beta, ALPHA)
        fit = 0.5 * (torch.digamma(alpha) - self.beta.log()) - 0.5 * self.misfit() * alpha / self.beta
        prior = Gamma(torch.full_like(alpha, ALPHA0), torch.full_like(alpha, BETA0))
        each = fit - kl_divergence(Gamma(alpha, self.beta), prior)
        each = each + self.prior_weight * (0.5 * self.variance.log() + self.log_prior())
        omega, flat = Dirichlet(self.dirichlet.T), Dirichlet(torch.ones(9, 2, dtype=torch.float64) * DIRICHLET0)
        assigned = torch.digamma(self.dirichlet) - torch.digamma(self.dirichlet.sum(0))
        entropy = Categorical(probs=self.weights.T).entropy()
        return (self.weights * (each + assigned)).sum(0) + entropy - kl_divergence(omega, flat)

    def update_beta(self) -> None:
        self.beta = rate(BETA0, self.misfit())

    def update_x(self) -> None:
        phi, precision = ALPHA / self.beta, self.prior_weight / self.c
        self.mean = (phi * self.y + precision * self.m) / (phi + precision)
        self.variance = self.prior_weight / (phi + precision)

    def update_weights(self) -> None:
        self.beta = rate(BETA0, self.misfit())  # the evidence is that of the best q(phi)
        evidences = evidence(BETA0, self.beta)
        self.weights = responsibilities(evidences, self.variance, self.prior_weight, self.dirichlet, self.log_prior())

    def update_dirichlet(self) -> None:
        self.dirichlet = concentrations(self.weights)


@pytest.mark.parametrize("prior_weight", [0.5, 1.0, 2.0])
def test_no_step_lowers_the_bound(prior_weight):
    """The increments reach zero: the fixed point is the best of each coordinate."""
    mixture = TwoGaussians(prior_weight)
    bound, first = mixture.bound(), mixture.bound()
    for _ in range(60):
        for step in (mixture.update_beta, mixture.update_x, mixture.update_weights, mixture.update_dirichlet):
            step()
            before, bound = bound, mixture.bound()
            assert (bound - before >= -1e-12).all()
    assert (bound > first + 0.01).all()
    assert torch.allclose(bound, before, atol=1e-6)
