"""Which way up, and what of EXIF is written back."""

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import IFD, Base

from service.imaging import ImageLimits, decode, encode, inspect
from service.imaging.exif import turn
from tests.pictures import exif_block, noise, png_chunk, png_file, saved

TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.fliplr(np.rot90(a, -1)),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.fliplr(np.rot90(a)),
    8: lambda a: np.rot90(a),
}
"""EXIF 2.32: 6 has to be turned clockwise by 90 degrees to stand upright, 8 counter-clockwise."""


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_turn_is_the_one_of_the_standard(orientation: int) -> None:
    samples = noise(3)
    np.testing.assert_array_equal(turn(samples, orientation), TURNED[orientation](samples))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_pictures_stand_upright_and_the_result_is_not_turned_twice(
    limits: ImageLimits, format: str, orientation: int
) -> None:
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(Image.fromarray(noise(3)), format, exif=exif_block({Base.Orientation: orientation}), **options)
    picture, info, upright = decode(data, limits), inspect(data, limits), TURNED[orientation](noise(3))
    np.testing.assert_array_equal(picture.native, upright)
    assert (info.height, info.width) == upright.shape[:2] == (picture.height, picture.width)
    result = encode(picture.rgb, picture, format="same", quality=100)
    np.testing.assert_array_equal(decode(result.data, limits).native, upright)
    assert (result.height, result.width) == upright.shape[:2]


def test_a_rotated_16_bit_png_and_jpeg(limits: ImageLimits) -> None:
    block = exif_block({Base.Orientation: 6})
    deep = png_file(noise(3, np.uint16), png_chunk(b"eXIf", block[6:]))
    np.testing.assert_array_equal(decode(deep, limits).native, np.rot90(noise(3, np.uint16), -1))
    jpeg = decode(saved(Image.fromarray(noise(3)), "JPEG", exif=block), limits)
    plain = decode(saved(Image.fromarray(noise(3)), "JPEG"), limits)
    np.testing.assert_array_equal(jpeg.native, np.rot90(plain.native, -1))


DETAILS = {0x829A: 0.004, 0x9003: "2024:05:06 07:08:09", 0xA002: 53, 0xA003: 37, 0x927C: b"maker's own"}


@pytest.mark.parametrize("bit_depth", ["8", "16"])
@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("target", ["png", "jpeg", "tiff", "webp"])
def test_exif_and_resolution_survive_every_pair_of_formats(
    limits: ImageLimits, source: str, target: str, bit_depth: str
) -> None:
    block = exif_block({Base.Make: "Maker", Base.Copyright: "me", Base.Orientation: 6}, DETAILS)
    data = saved(Image.fromarray(noise(3)), source, exif=block, dpi=(300, 300))
    picture = decode(data, limits)
    result = decode(encode(picture.rgb, picture, format=target, bit_depth=bit_depth).data, limits)
    for exif in (read(picture.metadata.exif), read(result.metadata.exif)):
        details = exif.get_ifd(IFD.Exif)
        assert (exif[Base.Make], exif[Base.Copyright], exif[Base.Orientation]) == ("Maker", "me", 1)
        assert (float(details[0x829A]), details[0x9003], details[0x927C]) == (0.004, DETAILS[0x9003], b"maker's own")
        assert (details[0xA002], details[0xA003]) == (37, 53)
    if "WEBP" not in (source, target.upper()):
        assert result.metadata.dpi == pytest.approx((300, 300), abs=0.1)


def read(block: bytes | None) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block or b"")
    return exif


def test_super_resolution_states_the_new_size(limits: ImageLimits) -> None:
    picture = decode(saved(Image.fromarray(noise(3)), "PNG", exif=exif_block({Base.Make: "M"}, DETAILS)), limits)
    result = encode(np.repeat(np.repeat(picture.rgb, 2, 0), 2, 1), picture, scale=2)
    details = read(decode(result.data, limits).metadata.exif).get_ifd(IFD.Exif)
    assert (details[0xA002], details[0xA003]) == (106, 74)


def test_the_thumbnail_of_the_old_picture_is_not_carried_over(limits: ImageLimits) -> None:
    thumbnail = saved(Image.fromarray(noise(3, size=(16, 16))), "JPEG")
    second = bytes.fromhex("020001020400010000002c0000000202040001000000")
    second += len(thumbnail).to_bytes(4, "little") + b"\0\0\0\0"
    block = b"Exif\0\0II*\0\x08\0\0\0\0\0\x0e\0\0\0" + second + thumbnail
    picture = decode(saved(Image.fromarray(noise(3)), "JPEG", exif=block), limits)
    result = encode(picture.rgb, picture, format="jpeg").data
    assert thumbnail not in result


def test_damaged_exif_is_left_out_with_a_warning(limits: ImageLimits) -> None:
    for block in (b"Exif\0\0nonsense that is no TIFF block", b"Exif\0\0II*\0\xff\xff\xff\x7f"):
        picture = decode(saved(Image.fromarray(noise(3)), "PNG", exif=block), limits)
        np.testing.assert_array_equal(picture.native, noise(3))
        assert picture.metadata.exif is None


def test_exif_too_long_for_a_jpeg_is_dropped_with_a_warning(limits: ImageLimits) -> None:
    block = exif_block({Base.Make: "Maker"}, {0x927C: bytes(100_000)})
    picture = decode(saved(Image.fromarray(noise(3)), "PNG", exif=block), limits)
    kept = encode(picture.rgb, picture, format="png")
    assert len(read(decode(kept.data, limits).metadata.exif).get_ifd(IFD.Exif)[0x927C]) == 100_000
    dropped = encode(picture.rgb, picture, format="jpeg")
    assert "metadata_dropped" in dict(dropped.warnings)
    assert decode(dropped.data, limits).metadata.exif is None


def test_stripping_drops_everything(limits: ImageLimits) -> None:
    data = saved(Image.fromarray(noise(3)), "PNG", exif=exif_block({Base.Make: "Maker"}), dpi=(300, 300))
    picture = decode(data, limits)
    for format in ("png", "jpeg", "tiff", "webp"):
        result = encode(picture.rgb, picture, format=format, keep_metadata=False)
        assert b"Maker" not in result.data
        assert decode(result.data, limits).metadata.exif is None
