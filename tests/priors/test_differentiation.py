"""Every prior can be differentiated in its picture, with frozen weights."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from priors.analytic import DenseGaussianPrior
from priors.base import Prior
from priors.declaration import Declaration
from priors.manifest import PriorInfo
from priors.network import PatchedUNet
from priors.parameterisation import adapt
from tests.priors.denoisers import random_network
from tests.priors.ideal import BLIND, DECLARED, INFO, WITHIN, Ideal
from tests.priors.unets import random_unet_of


def pulled_back(prior: Prior, x: Tensor, sigma: Tensor, v: Tensor) -> Tensor:
    """J^T v, J the Jacobian of D at x."""
    x = x.clone().requires_grad_()
    return torch.autograd.grad(prior.denoise(x, sigma), x, v)[0]


@pytest.mark.parametrize("name", DECLARED)
def test_every_parameterisation_can_be_differentiated(name: str, gaussian: DenseGaussianPrior) -> None:
    """The Jacobian of the exact denoiser is C (C + sigma^2)^-1, at levels that the network knows."""
    prior = adapt(Ideal(gaussian, DECLARED[name]), INFO, DECLARED[name])
    x, v = torch.randn(2, 6, 3, 2, 2, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    gains = gaussian.variances / (gaussian.variances + WITHIN.reshape(-1, 1) ** 2)
    expected = (gains * (v.flatten(1) @ gaussian.basis)) @ gaussian.basis.T
    torch.testing.assert_close(pulled_back(prior, x, WITHIN, v).flatten(1), expected, rtol=1e-9, atol=1e-9)


ATTENTION = {
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
    "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    "attention_head_dim": 8,
}
NETWORKS: dict[str, tuple[Callable[[], nn.Module], Declaration]] = {
    "DnCNN": (lambda: random_network("DnCNN"), BLIND),
    "BiasFreeDnCNN": (lambda: random_network("BiasFreeDnCNN"), BLIND),
    "FFDNet": (lambda: random_network("FFDNet"), DECLARED["denoised"]),
    "unshuffled": (
        lambda: PatchedUNet(random_unet_of({"in_channels": 12, "out_channels": 12}), unshuffle=2),
        Declaration("edm", "250*ln(sigma)", sigma_data=0.5),
    ),
    "learned variance": (lambda: PatchedUNet(random_unet_of({"out_channels": 6})), DECLARED["eps linear"]),
    "classes": (lambda: PatchedUNet(random_unet_of({"num_class_embeds": 5}), label=3), DECLARED["v"]),
    "attention": (lambda: PatchedUNet(random_unet_of(ATTENTION)), DECLARED["flow 1000*q noise-data"]),
}


@pytest.mark.parametrize("size", [(8, 8), (12, 4)], ids=str)
@pytest.mark.parametrize("name", NETWORKS)
def test_real_networks_can_be_differentiated_with_frozen_weights(name: str, size: tuple[int, int]) -> None:
    """<u, J^T v> is the derivative of <D, v> along u, below, within and above the levels of the training."""
    build, declared = NETWORKS[name]
    network = build().double().requires_grad_(False)
    prior = adapt(network, PriorInfo(name="p", sigma_min=0.02, sigma_max=20.0), declared)
    sigma = torch.tensor([0.001, 0.1, 3.0, 50.0], dtype=torch.float64)
    x, u, v = torch.randn(3, 4, 3, *size, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    with torch.no_grad():
        ahead, behind = (prior.denoise(x + step * u, sigma) for step in (1e-6, -1e-6))
    along = ((ahead - behind) / 2e-6 * v).flatten(1).sum(1)
    torch.testing.assert_close((u * pulled_back(prior, x, sigma, v)).flatten(1).sum(1), along, rtol=1e-5, atol=1e-5)
    assert all(parameter.grad is None for parameter in network.parameters())
