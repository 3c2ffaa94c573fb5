"""A denoiser of Gaussian noise that is told the noise level of every pixel, and has nothing added anywhere.

A U-Net of residual blocks, as DRUNet (Zhang et al. 2021, "Plug-and-Play Image Restoration with Deep Denoiser Prior"),
small enough for a CPU: behind a pixel-unshuffle by 2, without normalisation and without bias. Hence it is homogeneous
in picture and level together, D(c y, c sigma) = c D(y, sigma) for c > 0, which is what makes a network hold beyond the
levels of its training (Mohan et al. 2020, "Robust and Interpretable Blind Image Denoising").
"""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 3
UNSHUFFLE = 2


class ResidualBlock(nn.Module):
    """x + conv(ReLU(conv(x))). It starts as the identity, so that no normalisation is needed."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.second = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(self.first(x).relu())


class NoiseMapUNet(nn.Module):
    """Answers the noise in `y`. Sizes must be multiples of `multiple_of`."""

    predicts = ("residual", "sigma")
    takes_maps = True
    LIMITS = {"widths": (list, range(1, 1025)), "blocks": (int, range(1, 17))}

    def __init__(self, widths: list[int], blocks: int):
        """widths: channels of each level. blocks: residual blocks of each level, on the way down and up."""
        super().__init__()
        self.config: dict[str, Any] = {"_class_name": type(self).__name__, "widths": list(widths), "blocks": blocks}
        self.multiple_of = UNSHUFFLE * 2 ** (len(widths) - 1)

        def level(width: int) -> nn.Sequential:
            return nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))

        self.head = nn.Conv2d((CHANNELS + 1) * UNSHUFFLE**2, widths[0], 3, padding=1, bias=False)
        self.down = nn.ModuleList(level(width) for width in widths[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(*ends, 2, stride=2, bias=False) for ends in pairwise(widths))
        self.middle = level(widths[-1])
        self.grow = nn.ModuleList(
            nn.ConvTranspose2d(below, width, 2, stride=2, bias=False) for width, below in pairwise(widths)
        )
        self.up = nn.ModuleList(level(width) for width in widths[:-1])
        self.tail = nn.Conv2d(widths[0], CHANNELS * UNSHUFFLE**2, 3, padding=1, bias=False)
        nn.init.zeros_(self.tail.weight)

    def forward(self, y: Tensor, level: Tensor) -> Tensor:
        """y: (N, 3, H, W). level: (N,), or (N, 1, H, W) where it differs from pixel to pixel, in the units of `y`."""
        levels = level.reshape(-1, 1, 1, 1) if level.ndim == 1 else level
        told = torch.cat([y, levels.to(y).expand(-1, 1, *y.shape[-2:])], dim=1)
        hidden = first = self.head(functional.pixel_unshuffle(told, UNSHUFFLE))
        skipped = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            skipped.append(blocks(hidden))
            hidden = shrink(skipped[-1])
        hidden = self.middle(hidden)
        for blocks, grow in zip(reversed(self.up), reversed(self.grow), strict=True):
            hidden = blocks(grow(hidden) + skipped.pop())
        return functional.pixel_shuffle(self.tail(hidden + first), UNSHUFFLE)

    def save_config(self, folder: Path) -> None:
        (folder / "config.json").write_text(json.dumps(self.config, indent=1) + "\n")
