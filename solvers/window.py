"""Sums under a Gaussian window."""

import math

import torch
from torch import Tensor


def gaussian_sums(x: Tensor, width: float) -> Tensor:
    """Of each plane, weighed by exp(-d^2 / (2 width^2)) up to three widths away; zeros beyond the edge. (N, C, H, W).

    Not divided by the sum of the weights: divide by another sum, which is as low at the edge.
    """
    return _along(_along(x, width, -2), width, -1)


def _along(x: Tensor, width: float, dim: int) -> Tensor:
    """Shift by shift: a convolution of single planes takes five times the memory on a CPU, and three times as long."""
    length, sums = x.shape[dim], torch.zeros_like(x)
    reach = min(math.ceil(3 * width), length - 1)
    for shift in range(-reach, reach + 1):
        count, weight = length - abs(shift), math.exp(-0.5 * (shift / width) ** 2)
        sums.narrow(dim, max(0, -shift), count).add_(x.narrow(dim, max(0, shift), count), alpha=weight)
    return sums
