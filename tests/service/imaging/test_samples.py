"""Every mode and depth of every format, read to its stored samples."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from service.imaging import ImageLimits, decode, inspect
from tests.pictures import noise, picture_file, png_chunk, png_file, saved, tiff_file


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_samples_are_read_bit_by_bit(limits: ImageLimits, channels: int, dtype: type, interlaced: bool) -> None:
    samples = noise(channels, dtype)
    picture = decode(png_file(samples, interlaced=interlaced), limits)
    np.testing.assert_array_equal(picture.native, samples)
    assert picture.native.dtype == dtype
    assert (picture.bit_depth, picture.alpha is not None) == (8 * dtype().itemsize, channels in (2, 4))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("channels", "photometric", "extra"), [(1, 1, None), (2, 1, 2), (3, 2, None), (4, 2, 2), (4, 5, None)]
)
def test_tiff_samples_are_read_bit_by_bit(
    limits: ImageLimits, channels: int, photometric: int, extra: int | None, dtype: type, compressed: bool, order: str
) -> None:
    samples = noise(channels, dtype)
    picture = decode(tiff_file(samples, photometric, order=order, compressed=compressed, extra=extra), limits)
    np.testing.assert_array_equal(picture.native, samples)
    assert picture.native.dtype == dtype
    assert (picture.alpha is not None) == (extra is not None)


@pytest.mark.parametrize("compression", ["tiff_lzw", "packbits", "tiff_adobe_deflate"])
@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4), ("CMYK", 4)])
def test_compressed_tiff_of_other_writers(limits: ImageLimits, mode: str, channels: int, compression: str) -> None:
    samples = noise(channels)
    np.testing.assert_array_equal(
        decode(picture_file(samples, mode, "TIFF", compression=compression), limits).native, samples
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_as_zero_is_turned_round(limits: ImageLimits, dtype: type, order: str) -> None:
    samples = noise(1, dtype)
    picture = decode(tiff_file(samples, 0, order=order), limits)
    np.testing.assert_array_equal(picture.native, np.iinfo(dtype).max - samples)


@pytest.mark.parametrize(("channels", "photometric"), [(2, 1), (4, 2)])
def test_colours_multiplied_by_their_alpha_are_divided_by_it(
    limits: ImageLimits, channels: int, photometric: int
) -> None:
    straight = noise(channels, np.uint16) | np.uint16(0x4000)
    stored = straight.copy()
    stored[..., :-1] = np.rint(straight[..., :-1] * (straight[..., -1:] / 65535))
    picture = decode(tiff_file(stored, photometric, extra=1), limits)
    np.testing.assert_array_equal(picture.native[..., -1], straight[..., -1])
    np.testing.assert_allclose(picture.colours, straight[..., :-1], atol=3)


def test_palettes_are_expanded_to_their_colours(limits: ImageLimits) -> None:
    image = Image.fromarray(noise(3)).quantize(40)
    expected = np.asarray(image.convert("RGB"))
    for format in ("PNG", "TIFF", "GIF", "BMP"):
        picture = decode(saved(image, format), limits)
        np.testing.assert_array_equal(picture.native, expected)
        assert (picture.mode, picture.model, picture.alpha) == ("P", "rgb", None)


def test_palettes_with_transparency_get_an_alpha_channel(limits: ImageLimits) -> None:
    image = Image.fromarray(noise(3)).quantize(40)
    indexes, colours = np.asarray(image), np.asarray(image.convert("RGB"))
    one = decode(saved(image, "PNG", transparency=7), limits)
    np.testing.assert_array_equal(one.native, np.dstack([colours, np.where(indexes == 7, 0, 255)]))
    table = np.arange(40, dtype=np.uint8) * 6
    many = decode(saved(image, "PNG", transparency=table.tobytes()), limits)
    np.testing.assert_array_equal(many.native, np.dstack([colours, table[indexes]]))
    gif = decode(saved(image, "GIF", transparency=7), limits)
    np.testing.assert_array_equal(gif.native[..., 3], one.native[..., 3])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
def test_one_transparent_colour_becomes_an_alpha_channel(limits: ImageLimits, channels: int, dtype: type) -> None:
    samples = noise(channels, dtype)
    key = samples[5, 9]
    picture = decode(png_file(samples, png_chunk(b"tRNS", key.astype(">u2").tobytes())), limits)
    np.testing.assert_array_equal(picture.colours, samples)
    np.testing.assert_array_equal(picture.alpha == 0, (samples == key).all(axis=2))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_bits_of_grey(limits: ImageLimits, bits: int) -> None:
    """Written by hand: Pillow's own writer has only the first of these."""
    steps = noise(1)[..., 0] >> (8 - bits)
    unpacked = (steps[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    rows = np.packbits(unpacked.reshape(37, -1).astype(np.uint8), axis=1)
    data = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 53, 37, bits, 0, 0, 0, 0))
        + png_chunk(b"tRNS", b"\0\1")
        + png_chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))
        + png_chunk(b"IEND", b"")
    )
    picture = decode(data, limits)
    np.testing.assert_array_equal(picture.colours[..., 0], steps * np.uint8(255 // (2**bits - 1)))
    np.testing.assert_array_equal(picture.alpha == 0, steps == 1)
    assert picture.bit_depth == (1 if bits == 1 else 8)


@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP"])
def test_one_bit_pictures_are_black_and_white(limits: ImageLimits, format: str) -> None:
    bits = noise(1)[..., 0] > 127
    data = saved(Image.fromarray(bits), format)
    picture = decode(data, limits)
    np.testing.assert_array_equal(picture.native[..., 0], np.where(bits, 255, 0))
    assert (picture.bit_depth, inspect(data, limits).bit_depth) == (1, 1)


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 4)])
def test_jpeg_gives_the_samples_that_pillow_decodes(limits: ImageLimits, mode: str, channels: int) -> None:
    data = picture_file(noise(channels), mode, "JPEG")
    expected = np.asarray(Image.open(io.BytesIO(data))).reshape(*noise(channels).shape)
    np.testing.assert_array_equal(decode(data, limits).native, expected)


def test_lossless_webp_keeps_the_colours_under_transparent_pixels(limits: ImageLimits) -> None:
    for mode, channels in (("RGB", 3), ("RGBA", 4)):
        samples = noise(channels)
        data = picture_file(samples, mode, "WEBP", lossless=True, exact=True)
        np.testing.assert_array_equal(decode(data, limits).native, samples)
