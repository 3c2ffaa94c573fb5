"""What the development of a photograph has made of its noise, undone.

The noise of a sensor has no mean, but a camera bends the light by a concave curve f before anybody sees it, and what
f makes of noisy light is darker in the mean than what it makes of the light. For noise n of deviation s,

    f(l + n) ~ f + f' n + f'' n^2 / 2:   mean f + f'' s^2 / 2,   variance f'^2 s^2,   third cumulant 3 f'^2 f'' s^4.

Dark pixels are off the most, and the colours with the most noise, which tints the picture: by 10 of 255 in photographs
of phones in the dark. A denoiser takes it for the picture. But the noise has the same curve's skewness, and that tells

    f'' s^2 / 2 = (third cumulant) / (6 variance)

of what was taken off, whatever the curve is. Noise that was added to a finished picture, or so far smoothed in the
camera that it shows no skewness, leaves the picture as it is.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from solvers.interpolation import interpolate_within

GROUPS, LEAST = 8, 512
"""Groups of pixels of like brightness in each channel, and pixels that each has at least."""
MOST = 2**20
"""Pixels that are looked at."""
COARSE = 128
"""Pixels over which the mean of noise is a fiftieth of its deviation."""
TINY = 1e-12


def brightened(restored: Tensor, measured: Tensor) -> Tensor:
    """`restored` as bright as the light was, instead of as bright as the noise in `measured` has left it.

    Both (N, C, H, W), on any scale. What is coarse in the measurement is kept first: the likeliest value of skewed
    noise is not its mean.
    """
    restored = restored + coarse(measured - restored)
    channels = zip(restored.unbind(1), measured.unbind(1), strict=True)
    return torch.stack([restored_one + lift(restored_one, measured_one) for restored_one, measured_one in channels], 1)


def coarse(difference: Tensor) -> Tensor:
    """Its local mean, (N, C, H, W)."""
    size = difference.shape[-2:]
    means = functional.adaptive_avg_pool2d(difference, [math.ceil(side / COARSE) for side in size])
    return functional.interpolate(means, size=size, mode="bilinear")


def lift(restored: Tensor, measured: Tensor) -> Tensor:
    """What one channel lacks, (N, H, W). Nothing where values that were cut off at black skew it to the other side."""
    every = math.ceil(restored.numel() / MOST)
    seen, noise = restored.flatten()[::every], (measured - restored).flatten()[::every]
    groups = min(GROUPS, max(1, len(seen) // LEAST))
    order = seen.argsort()[: len(seen) // groups * groups].reshape(groups, -1)
    noise = noise[order] - noise[order].mean(1, keepdim=True)
    lacking = -noise.pow(3).mean(1) / (6 * noise.square().mean(1).clamp(min=TINY))
    return interpolate_within(restored, seen[order].mean(1), lacking.clamp(min=0))
