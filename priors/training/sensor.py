"""A sensor behind a Bayer mosaic, and the development of what it reads.

The way of Brooks et al. 2019, "Unprocessing Images for Learned Raw Denoising": a picture is taken back to the light
that made it, gets the noise of a sensor there (Foi et al. 2008, "Practical Poissonian-Gaussian Noise Modeling and
Fitting for Single-Image Raw-Data") and is developed again, so that the noise is spread and bent as cameras do it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

DRAWS = 8
"""Standard normal draws that a camera is chosen by."""
GAMMAS, GAINS, MIXING = (1.8, 2.6), (1.2, 2.4), 0.6
"""Ranges of gamma, of the gains of red and blue over green, and up to which the colour matrix takes the mean off."""
CROSS = torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
SQUARE = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4


@dataclass(frozen=True)
class Sensor:
    """N cameras. gamma, gains, mixing: (N, 1 or 3, 1, 1). sites: (N, 3, H, W), 1 where a colour is read.

    shot: (N, 1, 1, 1), share of the noise's variance at mid-grey that comes of the light. differences: (N, 1, 1, 1)
    bool, red and blue are interpolated as differences from green.
    """

    gamma: Tensor
    gains: Tensor
    mixing: Tensor
    sites: Tensor
    shot: Tensor
    differences: Tensor

    def light(self, picture: Tensor) -> Tensor:
        """(N, 3, H, W) on [-1, 1] to what reaches the sensor."""
        linear = ((picture + 1) / 2).pow(self.gamma)
        mixed = (linear + self.mixing * linear.mean(1, keepdim=True)) / (1 + self.mixing)  # inverse of the matrix
        return mixed / self.gains

    def noise(self, light: Tensor, white: Tensor) -> Tensor:
        """Of deviation 1 where the light is that of mid-grey."""
        grey = 0.5**self.gamma / self.gains
        return (self.shot * light / grey + 1 - self.shot).sqrt() * white

    def developed(self, light: Tensor) -> Tensor:
        """What the sensor reads of `light`, as a picture on [-1, 1]."""
        linear = demosaiced(light * self.sites, self.sites, self.differences) * self.gains
        linear = linear + self.mixing * (linear - linear.mean(1, keepdim=True))
        return 2 * linear.clamp(0, 1).pow(1 / self.gamma) - 1


def sensors(draws: Tensor, height: int, width: int) -> Sensor:
    """draws: (N, DRAWS) standard normal. Of every phase of the mosaic."""
    uniform = torch.special.ndtr(draws)[:, :, None, None, None].unbind(1)
    (low, high), (weak, strong) = GAMMAS, GAINS
    green = torch.ones_like(uniform[0])
    gains = torch.cat([weak + (strong - weak) * uniform[1], green, weak + (strong - weak) * uniform[2]], 1)
    rows, columns = (torch.arange(size, device=draws.device) for size in (height, width))
    down = (rows[:, None] + (uniform[3] < 0.5).long()) % 2  # (N, 1, H, 1)
    across = (columns + (uniform[4] < 0.5).long()) % 2  # (N, 1, 1, W)
    red, blue = (down == 0) & (across == 0), (down == 1) & (across == 1)
    sites = torch.cat([red, ~(red | blue), blue], 1).float()
    mixing, shot, differences = MIXING * uniform[5], uniform[6], uniform[7] < 0.5
    return Sensor(low + (high - low) * uniform[0], gains, mixing, sites, shot, differences)


def demosaiced(read: Tensor, sites: Tensor, differences: Tensor) -> Tensor:
    """Bilinear interpolation. read: (N, 3, H, W), 0 where `sites` is 0; differences: (N, 1, 1, 1)."""
    green = filtered(read[:, 1:2], CROSS)
    base = green * differences
    colours = (base + filtered(read[:, c : c + 1] - base * sites[:, c : c + 1], SQUARE) for c in (0, 2))
    red, blue = colours
    return torch.cat([red, green, blue], 1)


def filtered(plane: Tensor, kernel: Tensor) -> Tensor:
    """(N, 1, H, W), mirrored at the border, which keeps the mosaic whole."""
    return functional.conv2d(functional.pad(plane, (1, 1, 1, 1), mode="reflect"), kernel.to(plane)[None, None])
