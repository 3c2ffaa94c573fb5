"""Small networks of diffusers with every parameter random and not zero, and the manifest of a DDPM."""

from typing import Any

import torch
from torch import nn

EPS_MANIFEST: dict[str, Any] = {
    "kind": "pixel",
    "parameterisation": "eps",
    "time_map": "index",
    "schedule": {"kind": "linear", "steps": 1000, "beta_start": 1e-4, "beta_end": 0.02},
    "sigma_min": 0.010001,
    "sigma_max": 157.4,
    "trained_size": 16,
    "size_multiple": 2,
    "licence": "public domain",
}
CONFIG: dict[str, Any] = {
    "in_channels": 3,
    "out_channels": 3,
    "block_out_channels": [8, 16],
    "down_block_types": ["DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D"],
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "add_attention": False,
}


def random_unet_of(changes: dict[str, Any]) -> nn.Module:
    """A `UNet2DModel` of two levels, with `changes` to its configuration; equal changes give equal weights."""
    from diffusers import UNet2DModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DModel(**CONFIG | changes)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in unet.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return unet.eval()
