"""Pictures of kernels."""

import io

import numpy as np
import pytest
from PIL import Image

from service.imaging import ImageLimits, ImageRefused, kernel_picture

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=2**20, min_side=16)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def test_brightness_is_weight() -> None:
    pixels = np.array([[0, 51, 0], [51, 255, 51]], np.uint8)
    expected = pixels / pixels.sum()
    np.testing.assert_allclose(kernel_picture(png(pixels), LIMITS), expected, rtol=1e-6)
    np.testing.assert_allclose(kernel_picture(png(np.dstack([pixels] * 3)), LIMITS), expected, rtol=1e-6)


def test_what_is_transparent_weighs_nothing() -> None:
    pixels = np.full((3, 3, 4), 255, np.uint8)
    pixels[..., 3] = 0
    with pytest.raises(ImageRefused, match="black") as caught:
        kernel_picture(png(pixels), LIMITS)
    assert caught.value.code == "kernel_invalid"
    pixels[1, 1, 3] = 128
    assert kernel_picture(png(pixels), LIMITS)[1, 1] == 1
