import io

import numpy as np
import pytest
from PIL import Image

from service.imaging import preview_jpeg
from tests.pictures import smooth


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    assert image.format == "JPEG"
    return image


@pytest.mark.parametrize(
    ("size", "shown"), [((37, 53), (53, 37)), ((600, 300), (256, 512)), ((16, 4000), (512, 2)), ((5000, 5), (1, 512))]
)
def test_previews_fit_and_keep_their_shape(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert opened(preview_jpeg(smooth(3, size=size) / np.float32(255))).size == shown


def test_previews_show_the_picture() -> None:
    large = smooth(3, size=(1200, 1200)) / np.float32(255)
    seen = np.asarray(opened(preview_jpeg(large, max_side=100)), np.float32) / 255
    np.testing.assert_allclose(seen, large[6::12, 6::12], atol=0.05)


def test_values_out_of_range_and_not_numbers_are_shown_too() -> None:
    rgb = np.full((20, 20, 3), np.nan, np.float32)
    rgb[10:] = 7.0
    seen = np.asarray(opened(preview_jpeg(rgb)))
    assert seen[:5].max() < 20
    assert seen[15:].min() > 235
