"""Noise depends on seed, step and draw alone."""

import torch

from solvers.noise import NoiseStream

LIKE = torch.empty(1, 3, 40, 50)


def test_the_same_key_gives_the_same_noise():
    first = NoiseStream(5).normal(3, LIKE)
    NoiseStream(5).normal(7, LIKE)
    torch.randn(10)  # the global generator plays no part
    assert torch.equal(NoiseStream(5).normal(3, LIKE), first)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(0)
    expected = torch.randn(4)
    torch.manual_seed(0)
    NoiseStream(1).normal(0, LIKE)
    assert torch.equal(torch.randn(4), expected)


def test_other_seeds_steps_and_draws_are_independent():
    keys = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**63 - 1, 0, 0), (10, 0, 0), (1, 0, 1)]
    noise = torch.stack([NoiseStream(seed).normal(step, LIKE, draw).flatten() for seed, step, draw in keys])
    correlation = torch.corrcoef(noise) - torch.eye(len(keys))
    assert correlation.abs().max() < 5 / noise.shape[1] ** 0.5


def test_it_is_standard_normal():
    noise = NoiseStream(3).normal(0, torch.empty(1, 3, 200, 200))
    assert abs(float(noise.mean())) < 0.01
    assert abs(float(noise.std()) - 1) < 0.01
    assert abs(float((noise**4).mean()) - 3) < 0.1


def test_it_follows_the_type_of_the_image():
    double = NoiseStream(3).normal(0, LIKE.double())
    assert double.dtype == torch.float64
    assert torch.equal(double.float(), NoiseStream(3).normal(0, LIKE))
