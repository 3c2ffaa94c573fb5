"""Functions that are known at points."""

import torch
from torch import Tensor

TINY = 1e-12


def interpolate(at: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """The line through the points (xs, ys), at least two, xs rising, at the places `at`; it goes on beyond the last."""
    i = torch.searchsorted(xs, at).clamp(1, len(xs) - 1)
    return torch.lerp(ys[i - 1], ys[i], (at - xs[i - 1]) / (xs[i] - xs[i - 1]).clamp(min=TINY))


def interpolate_within(at: Tensor, xs: Tensor, ys: Tensor) -> Tensor:
    """The same, constant beyond the last points, and everywhere if there is but one."""
    return ys.expand(at.shape) if len(xs) == 1 else interpolate(at.clamp(xs[0], xs[-1]), xs, ys)
