"""The objectives against their definitions."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from priors.training.config import TrainingError
from priors.training.objective import EdmObjective, NoiseMapObjective
from priors.training.processes import training_device
from priors.training.samples import samples
from tests.priors.training.tiny import tiny


@pytest.fixture
def objective() -> EdmObjective:
    return EdmObjective(tiny(Path("data"), Path("out")), torch.float32)


def network(x: Tensor, time: Tensor) -> Tensor:
    return 0.3 * x.roll(1, -1) + time.reshape(-1, 1, 1, 1) / 1000


def test_the_loss_is_the_weighted_error_of_the_denoiser(objective: EdmObjective) -> None:
    """Karras et al. 2022, equation 2 and table 1: lambda(sigma) |D(clean + noise) - clean|^2."""
    rng = torch.Generator().manual_seed(0)
    clean, noise = torch.rand(4, 3, 8, 8, generator=rng) * 2 - 1, torch.randn(4, 3, 8, 8, generator=rng)
    draws = torch.tensor([-2.0, 0.0, 1.0, 3.0])[:, None]
    sigma = objective.levels(draws[:, 0])
    denoised = objective.denoise(network, clean + sigma.reshape(-1, 1, 1, 1) * noise, sigma)
    weight = (sigma**2 + 0.5**2) / (sigma * 0.5) ** 2
    expected = weight * (denoised - clean).square().mean(dim=(1, 2, 3))
    torch.testing.assert_close(objective.losses(network, clean, draws, noise), expected, rtol=1e-3, atol=1e-5)


def test_levels_are_log_normal_within_their_range(objective: EdmObjective) -> None:
    draws = torch.tensor([-10.0, 0.0, 1.0, 10.0])
    expected = torch.tensor([0.005, torch.tensor(-1.3).exp(), torch.tensor(0.2).exp(), 80.0])
    torch.testing.assert_close(objective.levels(draws), expected)


def test_bfloat16_is_for_the_network_alone(objective: EdmObjective) -> None:
    seen = []

    def convolution(x: Tensor, time: Tensor) -> Tensor:
        seen.append(torch.nn.functional.conv2d(x, torch.ones(3, 3, 1, 1)))
        return seen[-1]

    half = EdmObjective(objective.config, torch.bfloat16)
    loss = half.losses(convolution, torch.zeros(1, 3, 8, 8), torch.ones(1, 1), torch.ones(1, 3, 8, 8))
    assert (seen[0].dtype, loss.dtype) == (torch.bfloat16, torch.float32)
    full = objective.losses(convolution, torch.zeros(1, 3, 8, 8), torch.ones(1, 1), torch.ones(1, 3, 8, 8))
    assert seen[1].dtype == torch.float32
    torch.testing.assert_close(loss, full, rtol=0.02, atol=0)


@pytest.mark.parametrize("name", ["cuda:99", "abacus"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(TrainingError, match=f"--device {name} cannot be used"):
        training_device(name)


@pytest.fixture
def noise_map() -> NoiseMapObjective:
    config = dataclasses.replace(tiny(Path("data"), Path("out")), network="noise-map")
    return NoiseMapObjective(config, torch.float32)


def test_a_denoiser_that_answers_the_noise_has_no_loss(noise_map: NoiseMapObjective) -> None:
    rng = torch.Generator().manual_seed(0)
    clean, white = torch.rand(3, 3, 16, 16, generator=rng) * 2 - 1, torch.randn(3, 3, 16, 16, generator=rng)
    draws = torch.randn(3, noise_map.draws, generator=rng)
    sigma = noise_map.levels(draws[:, 0])
    shown = samples(clean, sigma, white, draws[:, 1:])

    def exact(y: Tensor, level: Tensor) -> Tensor:
        torch.testing.assert_close(level, shown.told)
        torch.testing.assert_close(y, shown.noisy)
        return shown.noisy - shown.truth

    torch.testing.assert_close(noise_map.losses(exact, clean, draws, white), torch.zeros(3), atol=1e-10, rtol=0)
    removes_nothing = noise_map.losses(lambda y, level: torch.zeros_like(y), clean, draws, white)
    torch.testing.assert_close(removes_nothing, (shown.noisy - shown.truth).square().mean((1, 2, 3)) / sigma)


def test_its_denoiser_takes_the_noise_off(noise_map: NoiseMapObjective) -> None:
    x, sigma = torch.ones(2, 3, 4, 4), torch.tensor([0.1, 0.2])
    denoised = noise_map.denoise(lambda y, level: y * level.reshape(-1, 1, 1, 1), x, sigma)
    torch.testing.assert_close(denoised, x * (1 - sigma).reshape(-1, 1, 1, 1))
