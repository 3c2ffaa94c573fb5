"""The bundled architecture: its start, its sizes, its time input, its pixel-unshuffle."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.network import PatchedUNet, build_unet, unet_config


def picture(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_starts_at_zero() -> None:
    """So that the first denoiser of a training is c_skip * x."""
    network = PatchedUNet(build_unet(unet_config(3, 2, (8, 16), 1, 4)), 2)
    assert torch.equal(network(picture(2, 3, 8, 8), torch.tensor([-700.0, 900.0])), torch.zeros(2, 3, 8, 8))


def test_the_default_size_is_the_bundled_one() -> None:
    with torch.device("meta"):
        unet = build_unet(unet_config(3, 2, (64, 96, 128), 2, 16))
    assert sum(p.numel() for p in unet.parameters()) == pytest.approx(5.5e6, rel=0.02)
    assert not any("attentions" in name for name, _ in unet.named_parameters())


@pytest.mark.parametrize("size", [(4, 4), (8, 20), (64, 36)])
def test_takes_any_multiple_of_its_size(unet: nn.Module, size: tuple[int, int]) -> None:
    with torch.no_grad():
        assert PatchedUNet(unet, 2)(picture(2, 3, *size), torch.zeros(2)).shape == (2, 3, *size)


def test_channel_order_is_the_one_of_pixel_unshuffle(unet: nn.Module) -> None:
    x, time = picture(1, 3, 8, 8), torch.tensor([12.5])
    with torch.no_grad():
        inner = unet(functional.pixel_unshuffle(x, 2), time).sample
        expected = inner.reshape(1, 3, 2, 2, 4, 4).permute(0, 1, 4, 2, 5, 3).reshape(1, 3, 8, 8)
        torch.testing.assert_close(PatchedUNet(unet, 2)(x, time), expected, rtol=1e-5, atol=1e-6)


def test_time_is_not_rounded(unet: nn.Module) -> None:
    network, x = PatchedUNet(unet, 2), picture(1, 3, 8, 8)
    with torch.no_grad():
        assert not torch.equal(network(x, torch.tensor([250.0])), network(x, torch.tensor([250.25])))
