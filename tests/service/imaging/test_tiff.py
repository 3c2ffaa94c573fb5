import io

import numpy as np
import pytest
from PIL import Image

from service.imaging.tiff import write_tiff
from tests.pictures import display_p3, exif_block, noise

MODES = {"L": ("grey", 1), "LA": ("grey", 2), "RGB": ("rgb", 3), "RGBA": ("rgb", 4), "CMYK": ("cmyk", 4)}


@pytest.mark.parametrize("size", [(16, 17), (700, 1500)])
@pytest.mark.parametrize("mode", MODES)
def test_pillow_reads_what_was_written(mode: str, size: tuple[int, int]) -> None:
    model, channels = MODES[mode]
    samples = noise(channels, size=size)
    image = Image.open(io.BytesIO(write_tiff(samples, model, None, None, None)))
    assert image.mode == mode
    np.testing.assert_array_equal(np.asarray(image).reshape(samples.shape), samples)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "CMYK"])
def test_pillow_reads_the_high_bytes_of_16_bit_colour(mode: str) -> None:
    model, channels = MODES[mode]
    samples = noise(channels, np.uint16)
    image = Image.open(io.BytesIO(write_tiff(samples, model, None, None, None)))
    np.testing.assert_array_equal(np.asarray(image), samples >> 8)


def test_pillow_reads_16_bit_grey_in_full() -> None:
    image = Image.open(io.BytesIO(write_tiff(noise(1, np.uint16), "grey", None, None, None)))
    np.testing.assert_array_equal(np.asarray(image), noise(1, np.uint16)[..., 0])


def test_metadata_is_where_other_readers_look() -> None:
    exif = exif_block({0x010F: "Maker", 0x0112: 1}, {0x9003: "2024:05:06 07:08:09"})
    image = Image.open(io.BytesIO(write_tiff(noise(3), "rgb", display_p3(), exif, (300.0, 150.0))))
    assert image.info["icc_profile"] == display_p3()
    assert (image.getexif()[0x010F], image.getexif().get_ifd(0x8769)[0x9003]) == ("Maker", "2024:05:06 07:08:09")
    assert image.info["dpi"] == (300, 150)
    np.testing.assert_array_equal(np.asarray(image), noise(3))
