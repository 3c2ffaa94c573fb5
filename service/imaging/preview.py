"""Small pictures for progress events and the web page."""

import io

import numpy as np
from PIL import Image

from service.imaging.colour import whole_samples


def preview_jpeg(rgb01: np.ndarray, max_side: int = 512) -> bytes:
    """A JPEG of (H, W, 3) sRGB values in [0, 1], shrunk so that no side is longer than `max_side`; never enlarged."""
    height, width = rgb01.shape[:2]
    stride = max(1, max(height, width) // (4 * max_side))  # so that a large picture is not copied whole
    image = Image.fromarray(whole_samples(np.nan_to_num(rgb01[::stride, ::stride]), np.dtype(np.uint8)))
    factor = min(1.0, max_side / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    if size != image.size:
        image = image.resize(size, Image.Resampling.BOX if stride > 1 else Image.Resampling.LANCZOS)
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85)
    return out.getvalue()
