"""Pictures of blur kernels: brightness is weight."""

from dataclasses import replace

import numpy as np

from service.imaging.colour import unit_samples
from service.imaging.decode import read_upright
from service.imaging.errors import ImageRefused
from service.imaging.limits import ImageLimits


def kernel_picture(data: bytes, limits: ImageLimits) -> np.ndarray:
    """(h, w) float64, the weights of a kernel, with sum 1: the mean of the stored channels, times alpha.

    A kernel is data: its colour profile plays no part. Raises ImageRefused: `kernel_invalid` for a black picture or
    an array of negative weights, and as `decode`.
    """
    samples = read_upright(data, replace(limits, min_side=1)).samples
    values = unit_samples(samples.values).astype(np.float64)
    weights = values[..., :-1].mean(axis=2) * values[..., -1] if samples.has_alpha else values.mean(axis=2)
    if weights.min() < 0:
        raise ImageRefused("kernel_invalid", "The kernel has negative weights.")
    if not weights.sum() > 0:
        raise ImageRefused("kernel_invalid", "The picture of the kernel is black: it has no weight anywhere.")
    return weights / weights.sum()
