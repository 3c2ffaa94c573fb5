"""What the development of a photograph has made of its noise, undone.

A sensor reads l + n, light and noise, and a camera shows f(l + n), f being bent and cut off at black. Behind a concave
curve the mean of noise of deviation s is below f(l), to the second order by -f'' s^2 / 2: in dark pixels the most, and
in the colours with the most noise, which tints the picture; by 10 of 255 in photographs of phones. A denoiser of noise
without mean takes that for the picture. The median, however, passes every rising curve unchanged:

    median f(l + n) = f(l)        for noise that is symmetric about 0 on the light,

and dust, dead pixels and what else is no noise hardly move it. So of what was taken off the median has to be 0
everywhere. Noise that a camera has smoothed after its curve is nearly symmetric about the darker mean, and the noise of
a few photons is not symmetric on the light: both are undone in part. Noise that was added to a finished picture has
nothing to undo, and its median is 0 but for a fortieth of its deviation.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

CELL = 128
"""Side in pixels, at most, of the cells that have a median each."""


def brightened(restored: Tensor, measured: Tensor) -> Tensor:
    """`restored` as bright as the light was, instead of as bright as the noise in `measured` has left it.

    Both (N, C, H, W), on any scale.
    """
    medians = cell_medians(measured - restored)
    return restored + functional.interpolate(medians, size=restored.shape[-2:], mode="bilinear")


def cell_medians(x: Tensor) -> Tensor:
    """Of every plane of (N, C, H, W), in cells of equal size: (N, C, h, w)."""
    x = x.contiguous()  # of an expanded tensor torch 2.13 finds medians that are not there
    rows, columns = (_cuts(side) for side in x.shape[-2:])
    return torch.stack(
        [torch.stack([x[..., r, c].flatten(2).median(2).values for c in columns], dim=-1) for r in rows], dim=-2
    )


def _cuts(length: int) -> list[slice]:
    count = math.ceil(length / CELL)
    return [slice(i * length // count, (i + 1) * length // count) for i in range(count)]
