"""Damage done to evaluation pictures on purpose, with fixed seeds. Holes are those of `solvers.operators.holes`."""

import numpy as np


def noisy(rgb01: np.ndarray, sigma_255: float, seed: int) -> np.ndarray:
    """White Gaussian noise, not clipped and not rounded."""
    noise = np.random.default_rng(seed).standard_normal(rgb01.shape)
    return (rgb01 + sigma_255 / 255 * noise).astype(np.float32)


def centre_crop(rgb01: np.ndarray, side: int) -> np.ndarray:
    """At most `side` by `side`, cut to multiples of 8."""
    height, width = (min(side, size) // 8 * 8 for size in rgb01.shape[:2])
    top, left = (rgb01.shape[0] - height) // 2, (rgb01.shape[1] - width) // 2
    return rgb01[top : top + height, left : left + width]
