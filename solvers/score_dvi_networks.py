"""The networks that ScoreDVI as published trains for every picture: one for each factor of the posterior.

All of them see the noisy picture on [0, 1] alone, whose structure they cannot help to follow before its noise: that is
the regulariser. Their batch normalisation works on this one picture throughout, and keeps no running statistics.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from solvers.score_dvi_loss import Factors

WIDTH = 64
LEAST = 32
"""Side in pixels that four halvings leave two of, which batch normalisation needs: smaller pictures are extended."""
BATCH_NORM = {"track_running_stats": False}


def _convolutions(channels: int, out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inside in (channels, out):
        layers += [nn.Conv2d(inside, out, 3, padding=1), nn.BatchNorm2d(out, **BATCH_NORM), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Four halvings by max-pooling and back by bilinear interpolation, skips concatenated: for mean and variance."""

    def __init__(self, channels: int, out: int, width: int = WIDTH):
        super().__init__()
        self.first = _convolutions(channels, width)
        down, up = [1, 2, 4, 8, 8], [8, 4, 2, 1, 1]
        self.down = nn.ModuleList(_convolutions(a * width, b * width) for a, b in zip(down, down[1:], strict=False))
        self.up = nn.ModuleList(
            _convolutions((below + skip) * width, after * width)
            for below, skip, after in zip(up, down[-2::-1], up[1:], strict=False)
        )
        self.last = nn.Conv2d(width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, out, H, W), of LEAST and more."""
        skips = [self.first(x)]
        for level in self.down:
            skips.append(level(functional.max_pool2d(skips[-1], 2)))
        x = skips.pop()
        for level in self.up:
            skip = skips.pop()
            x = functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            rows, columns = skip.shape[-2] - x.shape[-2], skip.shape[-1] - x.shape[-1]  # 1 where a size was odd
            x = functional.pad(x, (0, columns, 0, rows), mode="replicate")
            x = level(torch.cat([skip, x], 1))
        return self.last(x)


class DnCNN(nn.Sequential):
    """Five convolutions without a skip: for precisions, weights and concentrations."""

    def __init__(self, channels: int, out: int, width: int = WIDTH // 2):
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        for _ in range(3):
            layers += [
                nn.Conv2d(width, width, 3, padding=1),
                nn.BatchNorm2d(width, eps=1e-4, **BATCH_NORM),
                nn.ReLU(inplace=True),
            ]
        super().__init__(*layers, nn.Conv2d(width, out, 3, padding=1))


class Networks(nn.Module):
    """Every factor of the posterior of a picture of C channels, for K components."""

    def __init__(self, channels: int, components: int, width: int = WIDTH):
        """Without weights; see `networks`."""
        super().__init__()
        self.components = components
        single = channels * components
        self.x = UNet(channels, 2 * single, width)
        self.phi = DnCNN(channels, 2 * single, width // 2)
        self.z = DnCNN(channels, single, width // 2)
        self.omega = DnCNN(channels, single, width // 2)

    def forward(self, y: Tensor) -> Factors:
        """y: (1, C, H, W) on [0, 1], of any size."""
        height, width = y.shape[-2:]
        y = functional.pad(y, (0, max(0, LEAST - width), 0, max(0, LEAST - height)), mode="replicate")
        mean, log_variance, log_alpha, log_beta, logits, log_dirichlet = (
            half[..., :height, :width]
            for network, halves in ((self.x, 2), (self.phi, 2), (self.z, 1), (self.omega, 1))
            for half in network(y).reshape(self.components, -1, *y.shape[-2:]).chunk(halves, 1)  # (K, C, H, W) each
        )
        return Factors(mean, log_variance, log_alpha, log_beta, logits, log_dirichlet)


def networks(channels: int, components: int, like: Tensor, drawn: torch.Generator, width: int = WIDTH) -> Networks:
    """In the type and place of `like`, initialised as torch does it, from the generator `drawn` on the CPU alone."""
    with torch.device("meta"):
        made = Networks(channels, components, width)
    made = made.to_empty(device="cpu")
    for module in made.modules():
        if isinstance(module, nn.Conv2d):
            reach = 1 / math.sqrt(module.weight[0].numel())
            nn.init.uniform_(module.weight, -reach, reach, generator=drawn)
            nn.init.uniform_(module.bias, -reach, reach, generator=drawn)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    return made.to(like)
