"""Denoisers of Gaussian noise: networks of 3x3 convolutions, trained on white noise of known levels.

`config.json` names the class and its sizes: `depth` (convolutions) and `width` (channels between them) of the stacks,
which take RGB pictures of any size and whose weights have the names of the released files, so that those convert
without a change.

    class          predicts          told          source
    DnCNN          residual: noise   nothing       Zhang et al. 2017, "Beyond a Gaussian Denoiser"
    BiasFreeDnCNN  residual: noise   nothing       Mohan et al. 2020, "Robust and Interpretable Blind Image Denoising"
    FFDNet         denoised: image   the level     Zhang et al. 2018, "FFDNet: Toward a Fast and Flexible Solution"
    NoiseMapUNet   residual: noise   level map     `priors.noise_map`: our own, which `priors.training` trains
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.declaration import Declaration
from priors.manifest import MANIFEST, PriorError, PriorInfo
from priors.noise_map import NoiseMapUNet

CHANNELS = 3
STACK = {"depth": (int, range(2, 101)), "width": (int, range(1, 4097))}
"""A configuration that asks for more is a mistake; the network would be built before its file is looked at."""


class DnCNN(nn.Module):
    """Convolutions with bias, ReLU between; answers the noise in `y`."""

    predicts = ("residual", "none")
    LIMITS = STACK

    def __init__(self, depth: int, width: int):
        super().__init__()
        self.model = _convolutions(CHANNELS, width, CHANNELS, depth)

    def forward(self, y: Tensor, _level: Tensor) -> Tensor:
        return self.model(y)


class BiasFreeDnCNN(nn.Module):
    """Convolutions without bias, normalised by constants; answers the noise in `y`.

    With nothing added anywhere the network is homogeneous: f(c y) = c f(y) for c > 0, at levels that it never saw too.
    """

    predicts = ("residual", "none")
    LIMITS = STACK

    def __init__(self, depth: int, width: int):
        super().__init__()
        channels = [CHANNELS, *[width] * (depth - 1), CHANNELS]
        self.conv_layers = nn.ModuleList(nn.Conv2d(*ends, 3, padding=1, bias=False) for ends in pairwise(channels))
        self.running_sd = nn.ParameterList(torch.ones(1, width, 1, 1) for _ in range(depth - 2))
        self.gammas = nn.ParameterList(torch.ones(1, width, 1, 1) for _ in range(depth - 2))

    def forward(self, y: Tensor, _level: Tensor) -> Tensor:
        first, *middle, last = self.conv_layers
        hidden = first(y).relu()
        for convolution, deviation, gamma in zip(middle, self.running_sd, self.gammas, strict=True):
            hidden = (convolution(hidden) * (gamma / deviation)).relu()
        return last(hidden)


class FFDNet(nn.Module):
    """Convolutions at half the size, with the level as one more channel; answers the clean image itself.

    level: (N,), or a map (N, 1, H, W), in the units of `y`. An odd size is padded by repeating its last row or column.
    """

    predicts = ("denoised", "sigma")
    takes_maps = True
    LIMITS = STACK

    def __init__(self, depth: int, width: int):
        super().__init__()
        self.model = _convolutions(4 * CHANNELS + 1, width, 4 * CHANNELS, depth)

    def forward(self, y: Tensor, level: Tensor) -> Tensor:
        height, width = y.shape[-2:]
        even = functional.pad(y, (0, width % 2, 0, height % 2), mode="replicate")
        small = functional.pixel_unshuffle(even, 2)  # (N, 4 C, H/2, W/2)
        levels = level.to(y).reshape(-1, 1, 1, 1).expand(-1, 1, *small.shape[-2:]) if level.ndim == 1 else halved(level)
        clean = functional.pixel_shuffle(self.model(torch.cat([small, levels], dim=1)), 2)
        return clean[..., :height, :width]


def halved(levels: Tensor) -> Tensor:
    """A map for pixels of twice the side, each the root mean square of its own: (N, 1, H, W) to (N, 1, H/2, W/2)."""
    height, width = levels.shape[-2:]
    even = functional.pad(levels, (0, width % 2, 0, height % 2), mode="replicate")
    return functional.avg_pool2d(even.square(), 2).sqrt()


GAUSSIAN: dict[str, type[DnCNN | BiasFreeDnCNN | FFDNet | NoiseMapUNet]] = {
    network.__name__: network for network in (DnCNN, BiasFreeDnCNN, FFDNet, NoiseMapUNet)
}
"""By the `_class_name` of `config.json`."""
MAX_LEVELS = 8


def _convolutions(inputs: int, width: int, outputs: int, depth: int) -> nn.Sequential:
    first, *others = (nn.Conv2d(*ends, 3, padding=1) for ends in pairwise([inputs, *[width] * (depth - 1), outputs]))
    return nn.Sequential(first, *(layer for other in others for layer in (nn.ReLU(), other)))


def empty_gaussian(config: dict[str, Any], name: str) -> nn.Module:
    """The network that `config` describes, on the meta device: shapes without memory. Raises PriorError."""
    kind = GAUSSIAN[config["_class_name"]]
    sizes = {key: value for key, value in config.items() if not key.startswith("_")}
    if sizes.keys() != kind.LIMITS.keys() or not all(_fits(sizes[key], *kind.LIMITS[key]) for key in sizes):
        wanted = ", ".join(f"{key} {limit[0]} to {limit[-1]}" for key, (_, limit) in kind.LIMITS.items())
        raise PriorError(f"prior {name}: config.json must give a {kind.__name__} {wanted} and nothing else")
    with torch.device("meta"):
        return kind(**sizes)


def _fits(value: Any, kind: type, limit: range) -> bool:
    """Whether a number, or each of a few in a list, is one that the class takes."""
    values = value if kind is list else [value]
    return type(value) is kind and 0 < len(values) <= MAX_LEVELS and all(type(v) is int and v in limit for v in values)


def check_gaussian(network: nn.Module, info: PriorInfo, declared: Declaration) -> None:
    """Raise PriorError where `prior.json` contradicts what `network` predicts or is told."""
    kind, name = type(network).__name__, info.name
    if (declared.parameterisation, declared.time_map) != network.predicts:
        parameterisation, time_map = network.predicts
        raise PriorError(
            f"prior {name}: a {kind} is {parameterisation!r} with time_map {time_map!r}, not as {MANIFEST} says"
        )
    if info.multiple_of % getattr(network, "multiple_of", 1):
        raise PriorError(f"prior {name}: a {kind} does not take every multiple of {info.multiple_of} pixels")
    if declared.pixel_unshuffle != 1 or declared.learned_variance or declared.class_count is not None:
        raise PriorError(f"prior {name}: a {kind} has no pixel_unshuffle, learned_variance or classes")
