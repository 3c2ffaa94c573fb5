import io
import struct

import numpy as np
import pytest
from PIL import Image

from service.imaging.png16 import write_png16
from tests.pictures import display_p3, exif_block, noise, png_samples


@pytest.mark.parametrize("size", [(1, 1), (16, 17), (700, 5)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_an_independent_reader_finds_the_samples(channels: int, size: tuple[int, int]) -> None:
    samples = noise(channels, np.uint16, size)
    np.testing.assert_array_equal(png_samples(write_png16(samples, None, None, None)), samples)


def test_pillow_finds_the_metadata() -> None:
    exif = exif_block({0x010F: "Maker"})[6:]
    image = Image.open(io.BytesIO(write_png16(noise(3, np.uint16), display_p3(), exif, (300, 150))))
    image.load()
    assert image.info["icc_profile"] == display_p3()
    assert image.getexif()[0x010F] == "Maker"
    assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)
    high = np.asarray(image)
    np.testing.assert_array_equal(high, noise(3, np.uint16) >> 8)


def test_the_header_is_the_standards() -> None:
    header = struct.unpack(">IIBBBBB", write_png16(noise(4, np.uint16), None, None, None)[16:29])
    assert header == (53, 37, 16, 6, 0, 0, 0)
