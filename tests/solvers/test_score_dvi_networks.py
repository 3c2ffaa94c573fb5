"""Networks of ScoreDVI as published: their size, their weights, pictures of any size."""

import pytest
import torch
from torch import Tensor, nn

from solvers.score_dvi_networks import DnCNN, Networks, UNet, networks

FIELDS = ("mean", "log_variance", "log_alpha", "log_beta", "logits", "log_dirichlet")


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def drawn(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(height: int, width: int) -> Tensor:
    return torch.rand(1, 3, height, width, generator=drawn(0))


def test_they_have_as_many_parameters_as_the_published_ones():
    with torch.device("meta"):
        made = Networks(3, 3)
    assert [count(part) for part in (made.x, made.phi, made.z, made.omega)] == [13_396_434, 34_034, 31_433, 31_433]
    assert sum(isinstance(module, nn.Conv2d) for module in made.x.modules()) == 19


@pytest.mark.parametrize("size", [(1, 1), (5, 40), (33, 47), (64, 48)])
def test_pictures_of_any_size(size):
    factors = networks(3, 2, torch.empty(0), drawn(0), width=4)(picture(*size))
    for name in FIELDS:
        value = getattr(factors, name)
        assert value.shape == (2, 3, *size) and value.isfinite().all()


def test_channels_of_a_component_are_the_first_half_mean_and_the_second_variance():
    made, y = networks(3, 2, torch.empty(0), drawn(0), width=4), picture(32, 32)
    factors, raw = made(y), made.x(y)[0]
    for k in range(2):
        assert torch.equal(factors.mean[k], raw[6 * k : 6 * k + 3])
        assert torch.equal(factors.log_variance[k], raw[6 * k + 3 : 6 * k + 6])


def test_weights_are_those_of_the_generator_and_no_other():
    before = torch.get_rng_state()
    one, same, other = (networks(3, 1, torch.empty(0), drawn(seed), width=4) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True))
    weight, bias = one.x.first[3].weight.detach(), one.phi[0].bias.detach()
    assert not torch.equal(weight, other.x.first[3].weight)
    assert 0.9 / 6 < float(weight.abs().max()) <= 1 / 6  # U(-1, 1) / sqrt(4 * 3 * 3)
    assert 0 < float(bias.abs().max()) <= 27**-0.5
    assert all(parameter.isfinite().all() for parameter in one.parameters())


def test_they_have_the_type_of_the_picture():
    made = networks(1, 1, torch.empty(0, dtype=torch.float64), drawn(0), width=4)
    assert made(torch.rand(1, 1, 32, 32, dtype=torch.float64)).mean.dtype == torch.float64


def test_shift_and_contrast_of_a_picture_are_lost_behind_the_normalisation():
    """Statistics are those of this one picture, in a second pass too."""
    unet, y = UNet(3, 2, 4), torch.rand(1, 3, 32, 32, generator=drawn(0))
    nn.init.zeros_(unet.first[0].bias)
    first = unet(y)
    unet.eval()
    assert torch.equal(unet(y), first)
    noise = DnCNN(3, 2, 4)
    assert torch.equal(noise(y), noise.eval()(y))
