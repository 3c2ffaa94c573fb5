"""Sums under a Gaussian window."""

import math

import torch
from torch import Tensor
from torch.nn import functional


def gaussian_sums(x: Tensor, width: float) -> Tensor:
    """Of each plane, weighed by exp(-d^2 / (2 width^2)) up to three widths away; zeros beyond the edge. (N, C, H, W).

    Not divided by the sum of the weights: divide by another sum, which is as low at the edge.
    """
    reach = math.ceil(3 * width)
    distance = torch.arange(-reach, reach + 1, dtype=x.dtype, device=x.device)
    profile = torch.exp(-0.5 * (distance / width) ** 2)
    planes = x.reshape(-1, 1, *x.shape[-2:])
    planes = functional.conv2d(planes, profile.reshape(1, 1, -1, 1), padding=(reach, 0))
    return functional.conv2d(planes, profile.reshape(1, 1, 1, -1), padding=(0, reach)).reshape(x.shape)
