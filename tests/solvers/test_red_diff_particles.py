"""Several restorations that keep away from each other (algorithms.md 7.2, 11.6)."""

import math

import pytest
import torch

from priors.analytic import GaussianMixturePrior
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Identity, Mask
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.red_diff_particles import FEATURE_SIDE, ParticleNoise, repulsion, small
from tests.solvers.parts import operators, problem, queries

MIXTURE = GaussianMixturePrior((0.3, 0.7), (-0.5, 0.6), 0.04)
HALF_KNOWN = Problem(torch.zeros(1, 1, 1, 2, dtype=torch.float64), Mask(torch.tensor([[True, False]]), 1), 0.0)
"""Two values, of which the first is 0; the second may lie in either mode."""


def particles(seed: int, **options: object) -> torch.Tensor:
    params = RedDiffParameters(mode="particles", sigma_max=1.0, **options)
    return drive(red_diff(HALF_KNOWN, params, NoiseStream(seed)), MIXTURE.denoise).samples[..., 1].flatten()


def test_repelled_particles_find_both_modes_where_restarts_find_one():
    """4 particles, 30 seeds: the share of runs that find both, and of particles in the mode whose weight is 0.3."""
    repelled, restarts = (
        torch.stack([particles(seed, **options) for seed in range(30)]) for options in ({}, {"repulsion": 0.0})
    )

    def both(found: torch.Tensor) -> float:
        return float(((found > 0).any(1) & (found < 0).any(1)).double().mean())

    assert both(repelled) > 0.85
    assert both(restarts) < 0.2
    assert float((repelled < 0).double().mean()) == pytest.approx(0.3, abs=0.1)
    assert float(repelled.std(1).mean()) > 4 * float(restarts.std(1).mean())
    # what is found are the modes: the nearest particle to each is near, not somewhere between
    assert float((repelled - 0.6).abs().amin(1).median()) < 0.1
    assert float((repelled + 0.5).abs().amin(1).median()) < 0.1


def test_the_best_of_the_particles_is_nearer_to_a_truth_in_either_mode():
    """PSNR of the nearest, peak 2: what a user who looks at all of them can have."""
    best = {}
    for name, options in {"repelled": {}, "restarts": {"repulsion": 0.0}}.items():
        found = torch.stack([particles(seed, **options) for seed in range(20)])
        errors = [0.3 * (found + 0.5).square().amin(1).mean(), 0.7 * (found - 0.6).square().amin(1).mean()]
        best[name] = 10 * math.log10(4 / float(sum(errors)))
    assert best["repelled"] > best["restarts"] + 5


def test_all_particles_fit_the_measurement():
    task = problem(operators()["bicubic"], 0.0)
    solution = drive(red_diff(task, RedDiffParameters(mode="particles"), NoiseStream(0)), MIXTURE.denoise)
    assert solution.samples.shape == (4, 3, 12, 16)
    misfit = (task.operator.forward(solution.samples) - task.measurement).square().mean((1, 2, 3)).sqrt()
    assert float(misfit.max()) < 1e-3
    spread = float((solution.samples - solution.samples.mean(0)).square().mean().sqrt())
    assert solution.metrics == {"diversity": pytest.approx(spread)}


def test_the_picture_is_the_particle_nearest_to_the_others():
    for seed in range(5):
        params = RedDiffParameters(mode="particles", particles=5, sigma_max=1.0)
        solution = drive(red_diff(HALF_KNOWN, params, NoiseStream(seed)), MIXTURE.denoise)
        far = [float((solution.samples - one).square().sum()) for one in solution.samples]
        assert torch.equal(solution.x[0], solution.samples[far.index(min(far))])
        assert solution.x.shape == (1, 1, 1, 2)


@pytest.mark.parametrize("kind", operators())
def test_without_repulsion_each_is_the_same_however_many_there_are(kind):
    """And the first is the run of `fast`."""
    task = problem(operators()[kind])
    runs = {
        count: drive(
            red_diff(
                task,
                RedDiffParameters(mode="particles", particles=count, repulsion=0.0, sigma_max=0.7),
                NoiseStream(3),
            ),
            MIXTURE.denoise,
        ).samples
        for count in (2, 5)
    }
    assert torch.allclose(runs[5][:2], runs[2], atol=1e-12)
    fast = drive(red_diff(task, RedDiffParameters(sigma_max=0.7), NoiseStream(3)), MIXTURE.denoise).x
    assert torch.allclose(runs[5][:1], fast, atol=1e-12)
    assert (runs[5][0] - runs[5][1]).abs().max() > 1e-3


def test_they_are_rows_of_one_query_with_noise_of_their_own():
    task = problem(Identity((1, 40, 40)))
    params = RedDiffParameters(mode="particles", particles=3, steps=4, sigma_max=0.5)
    asked, _ = queries(red_diff(task, params, NoiseStream(3)), MIXTURE.denoise)
    assert [query.x.shape for query in asked] == [(3, 1, 40, 40)] * 4
    assert all(query.sigma.shape == (3,) for query in asked)
    noise = (asked[0].x - asked[0].mean()).flatten(1)
    assert (torch.corrcoef(noise) - torch.eye(3)).abs().max() < 0.15
    assert torch.equal(ParticleNoise(3).normal(2, asked[0].x)[:1], NoiseStream(3).normal(2, asked[0].x[:1]))


@pytest.mark.parametrize("shape", [(3, 16, 16), (1, 7, 40), (3, 33, 65)])
def test_repulsion_pushes_apart(shape):
    mu = 0.2 * torch.randn(4, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mu = mu + torch.linspace(-0.2, 0.2, 4).double().reshape(4, 1, 1, 1)
    moved = mu + 0.01 * repulsion(mu, 0.3)

    def nearness(x: torch.Tensor) -> torch.Tensor:
        f = small(x).flatten(1)
        return (f[:, None] - f).square().mean(2).sum()

    assert nearness(moved) > nearness(mu) * 1.01
    assert max(small(mu).shape[-2:]) <= FEATURE_SIDE


def test_repulsion_is_the_gradient_it_is_called():
    """-d/df_i ln sum_j k(f_i, f_j) by autograd, in units of a mean over the features."""
    mu = 0.3 * torch.randn(3, 1, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    d2 = (mu[:, None] - mu).square().flatten(2).mean(2)
    median = sorted([float(d2[0, 1]), float(d2[0, 2]), float(d2[1, 2])])[1]
    h = max(median, 0.01**2) / math.log(3)
    for i in range(3):
        f = mu[i].clone().requires_grad_()
        others = [mu[j] for j in range(3) if j != i]
        total = 1 + sum(torch.exp(-(f - other).square().mean() / h) for other in others)
        torch.log(total).backward()
        assert torch.allclose(repulsion(mu, 0.01)[i], -16 * f.grad, atol=1e-10)


def test_particles_that_agree_are_left_alone():
    mu = torch.rand(1, 3, 20, 20).repeat(4, 1, 1, 1)
    assert torch.equal(repulsion(mu, 0.5), torch.zeros_like(mu))


def test_repulsion_means_the_same_at_every_size():
    """A difference of half of the picture from the other half, at 16 and at 64 pixels."""
    pushes = []
    for side in (16, 64):
        mu = torch.zeros(2, 1, side, side, dtype=torch.float64)
        mu[0, :, : side // 2] = 0.2
        pushes.append(repulsion(mu, 0.3)[0, 0, side // 4, side // 2])
    assert float(pushes[0]) == pytest.approx(float(pushes[1]), rel=1e-6)
