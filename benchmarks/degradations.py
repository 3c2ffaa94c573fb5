"""Damage done to evaluation pictures on purpose, with fixed seeds."""

import numpy as np
from PIL import Image, ImageDraw


def random_pixels(height: int, width: int, fraction: float, seed: int) -> np.ndarray:
    """(H, W) bool, True = known: `fraction` of the pixels is lost at random."""
    return np.random.default_rng(seed).random((height, width)) >= fraction


def free_form(height: int, width: int, fraction: float, seed: int) -> np.ndarray:
    """(H, W) bool, True = known: thick brush strokes until `fraction` of the picture is lost."""
    rng = np.random.default_rng(seed)
    canvas = Image.new("1", (width, height), 1)
    draw = ImageDraw.Draw(canvas)
    while 1 - np.asarray(canvas).mean() < fraction:
        brush = int(rng.integers(8, 24)) * min(height, width) // 256
        point = rng.uniform((0, 0), (width, height))
        for _ in range(int(rng.integers(2, 6))):
            turn = rng.uniform(0, 2 * np.pi)
            following = point + rng.uniform(0.08, 0.25) * min(height, width) * np.array([np.cos(turn), np.sin(turn)])
            draw.line([tuple(point), tuple(following)], fill=0, width=brush)
            draw.ellipse([*(following - brush / 2), *(following + brush / 2)], fill=0)
            point = following
    return np.asarray(canvas).astype(bool)


def noisy(rgb01: np.ndarray, sigma_255: float, seed: int) -> np.ndarray:
    """White Gaussian noise, not clipped and not rounded."""
    noise = np.random.default_rng(seed).standard_normal(rgb01.shape)
    return (rgb01 + sigma_255 / 255 * noise).astype(np.float32)


def centre_crop(rgb01: np.ndarray, side: int) -> np.ndarray:
    """At most `side` by `side`, cut to multiples of 8."""
    height, width = (min(side, size) // 8 * 8 for size in rgb01.shape[:2])
    top, left = (rgb01.shape[0] - height) // 2, (rgb01.shape[1] - width) // 2
    return rgb01[top : top + height, left : left + width]
