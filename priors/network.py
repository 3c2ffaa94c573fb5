"""The bundled architecture: a diffusers `UNet2DModel` without attention, behind an optional pixel-unshuffle.

Pixel-unshuffle turns (C, H, W) into (C f f, H/f, W/f): wide convolutions on a small grid use a CPU far better than
narrow ones on a large grid, for the same number of parameters.
"""

import inspect
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.manifest import PriorError


def unet_config(channels: int, unshuffle: int, widths: tuple[int, ...], layers: int, groups: int) -> dict[str, Any]:
    """Arguments of `UNet2DModel`, as they are stored in `config.json`."""
    return {
        "in_channels": channels * unshuffle**2,
        "out_channels": channels * unshuffle**2,
        "block_out_channels": list(widths),
        "layers_per_block": layers,
        "down_block_types": ["DownBlock2D"] * len(widths),
        "up_block_types": ["UpBlock2D"] * len(widths),
        "add_attention": False,
        "resnet_time_scale_shift": "scale_shift",
        "norm_num_groups": groups,
        "dropout": 0.0,
    }


class PatchedUNet(nn.Module):
    """`UNet2DModel` on pixel-unshuffled input. Sizes must be multiples of `unshuffle * 2**(levels - 1)`.

    label: the class that a class-conditional network is told for every sample. A learned variance, which is a second
    half of the output channels, is dropped.
    """

    def __init__(self, unet: nn.Module, unshuffle: int = 1, label: int | None = None):
        super().__init__()
        self.unet = unet
        self.unshuffle = unshuffle
        self.label = label

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        x = functional.pixel_unshuffle(x, self.unshuffle)  # (N, C f f, H/f, W/f)
        x = x.contiguous(memory_format=torch.channels_last)
        # time stays a tensor: UNet2DModel truncates a Python float to an integer.
        labels = None if self.label is None else torch.full_like(time, self.label, dtype=torch.long)
        prediction = self.unet(x, time, labels).sample[:, : x.shape[1]]
        return functional.pixel_shuffle(prediction, self.unshuffle)  # (N, C, H, W)


def build_unet(config: dict[str, Any]) -> nn.Module:
    """A `UNet2DModel` with random weights; its last convolution starts at zero, so that D(x) starts at c_skip * x."""
    from diffusers import UNet2DModel  # two seconds of import that `--help` and the tests of other rooms need not pay

    unet = UNet2DModel(**config)
    nn.init.zeros_(unet.conv_out.weight)
    nn.init.zeros_(unet.conv_out.bias)
    return unet


def empty_network(kind: type[nn.Module], config: dict[str, Any], name: str, file: str) -> nn.Module:
    """The network of diffusers' class `kind` that `config` describes, on the meta device: shapes without memory.

    name: of the prior, and file: where `config` was read, both for messages. Raises PriorError.
    """
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    unknown = sorted(arguments.keys() - inspect.signature(kind.__init__).parameters.keys())
    if unknown:  # diffusers would ignore them in silence
        raise PriorError(f"prior {name}: {file} has unknown keys {unknown}")
    try:
        with torch.device("meta"):
            return kind(**arguments)
    except (TypeError, ValueError, IndexError, AttributeError, NotImplementedError, RuntimeError) as error:
        # diffusers raises any of these for a value it does not know
        raise PriorError(f"prior {name}: {file} describes no valid network: {error}") from error
