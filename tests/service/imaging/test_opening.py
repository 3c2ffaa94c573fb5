"""Everything that is refused, and why."""

import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from service.arrays import npy_bytes
from service.imaging import ImageLimits, ImageRefused, decode, inspect, sniff_media_type
from service.imaging.opening import open_image
from tests.pictures import display_p3, exif_block, noise, picture_file, png_chunk, png_file, saved, smooth, tiff_file

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # what Pillow thinks of damaged files
LIMITS = ImageLimits(max_bytes=2**20, max_pixels=1_000_000, min_side=16)


def refusal(data: bytes, limits: ImageLimits = LIMITS) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        inspect(data, limits)
    with pytest.raises(ImageRefused) as again:
        decode(data, limits)
    assert caught.value.code == again.value.code
    return caught.value


def png_header(width: int, height: int) -> bytes:
    """A PNG whose header claims this size, with a few bytes of zeros as its pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IDAT", zlib.compress(bytes(2_000_000)))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + body + png_chunk(b"IEND", b"")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello, world",
        b"<svg xmlns='http://www.w3.org/2000/svg' width='64' height='64'/>",
        b"%PDF-1.7\n",
        b"\0" * 999,
    ]
    + [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\0\0\0\0WEBPVP8 ", b"II*\0\x08\0\0\0", b"GIF89a", b"BM"],
)
def test_bytes_that_are_no_picture_are_unsupported(data: bytes) -> None:
    assert refusal(data).code == "unsupported_image"


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_truncated_file_is_found(format: str, share: float) -> None:
    data = picture_file(noise(3), "RGB", format)
    inspect(data, LIMITS)
    assert refusal(data[: int(len(data) * share)]).code == "unsupported_image"


def test_truncated_16_bit_files_are_found() -> None:
    png, tiff = png_file(noise(3, np.uint16)), tiff_file(noise(3, np.uint16), 2)
    assert refusal(png[: len(png) // 2]).code == "unsupported_image"
    assert refusal(tiff[: len(tiff) // 2]).code == "unsupported_image"


def test_a_bomb_is_refused_before_anything_of_its_size_is_allocated() -> None:
    bomb = png_header(60_000, 60_000)
    assert len(bomb) < 10_000
    tracemalloc.start()
    assert refusal(bomb).code == "image_too_many_pixels"
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_limits_above_pillows_own_are_honoured_without_a_warning() -> None:
    roomy = ImageLimits(2**20, 300_000_000, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert open_image(png_header(17_000, 17_000), roomy).size == (17_000, 17_000)


@pytest.mark.parametrize("chunk", ["VP8X", "VP8L", "VP8 "])
def test_a_webp_canvas_is_checked_before_the_library_allocates_it(chunk: str) -> None:
    side = 16_383
    body = {
        "VP8X": b"\x10\0\0\0" + (side - 1).to_bytes(3, "little") * 2,
        "VP8L": b"\x2f" + struct.pack("<I", (side - 1) | (side - 1) << 14),
        "VP8 ": b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", side, side),
    }[chunk]
    data = b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBP" + chunk.encode() + struct.pack("<I", len(body)) + body
    assert refusal(data).code == "image_too_many_pixels"


def test_sizes_and_bytes_have_bounds_that_are_named() -> None:
    assert refusal(png_file(noise(3, size=(1, 1)))).code == "image_too_small"
    assert refusal(png_file(noise(3, size=(15, 16)))).code == "image_too_small"
    inspect(png_file(noise(3, size=(16, 16))), LIMITS)
    big = refusal(png_file(smooth(1, size=(1001, 1000))))
    assert (big.code, "1000 x 1001" in big.detail, "1,000,000" in big.detail) == ("image_too_many_pixels", True, True)
    heavy = refusal(b"x" * (2**20 + 1))
    assert (heavy.code, "1,048,576" in heavy.detail) == ("file_too_large", True)


def test_animations_and_documents_are_refused_and_single_frames_taken() -> None:
    frames = [Image.fromarray(noise(3, seed=seed)) for seed in range(3)]
    for format in ("GIF", "WEBP", "PNG"):
        error = refusal(saved(frames[0], format, save_all=True, append_images=frames[1:]))
        assert (error.code, "animated" in error.detail) == ("unsupported_image", True)
        inspect(saved(frames[0], format, save_all=True), LIMITS)
    pages = refusal(saved(frames[0], "TIFF", save_all=True, append_images=frames[1:]))
    assert (pages.code, "pages" in pages.detail) == ("unsupported_image", True)


def test_a_thumbnail_page_does_not_make_a_tiff_a_document() -> None:
    thumbnail = Image.fromarray(noise(3, size=(16, 16)))
    thumbnail.encoderinfo = {"tiffinfo": {254: 1}}
    data = saved(Image.fromarray(noise(3)), "TIFF", save_all=True, append_images=[thumbnail])
    assert np.array_equal(decode(data, LIMITS).native, noise(3))


def test_the_first_picture_of_a_phones_multi_picture_file_is_taken_as_a_jpeg() -> None:
    first, second = Image.fromarray(smooth(3)), Image.fromarray(smooth(3, size=(20, 20)))
    data = saved(first, "MPO", save_all=True, append_images=[second])
    info = inspect(data, LIMITS)
    assert (info.format, info.width, info.height) == ("JPEG", 53, 37)


@pytest.mark.parametrize(
    "data",
    [
        saved(Image.fromarray(np.zeros((20, 20), np.float32)), "TIFF"),
        saved(Image.fromarray(np.zeros((20, 20), np.int32)), "TIFF"),
        saved(Image.new("LAB", (20, 20)), "TIFF"),
        tiff_file(noise(1, np.uint16), 1, sample_format=2),
        tiff_file(noise(3, np.uint16), 2, separate=True),
        tiff_file(noise(2), 1, separate=True, compressed=True, extra=2),
    ],
    ids=["float", "int32", "lab", "signed", "planes", "grey planes"],
)
def test_kinds_that_are_not_read_say_so(data: bytes) -> None:
    assert refusal(data).code == "unsupported_image"


def test_a_text_chunk_bomb_is_refused() -> None:
    chunk = png_chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
    assert refusal(png_file(noise(3), chunk)).code == "unsupported_image"


def test_media_types_are_sniffed_from_the_first_bytes() -> None:
    for format in ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP"):
        assert sniff_media_type(picture_file(noise(3), "RGB", format)) == f"image/{format.lower()}"
    assert sniff_media_type(npy_bytes(noise(3))) == "application/x-npy"
    assert sniff_media_type(b"<html>") is None


SEEDS = [
    png_file(noise(3, size=(16, 17))),
    png_file(noise(4, np.uint16, (16, 17)), interlaced=True),
    tiff_file(noise(3, np.uint16, (16, 17)), 2, compressed=True),
    tiff_file(noise(2, np.uint16, (16, 17)), 1, order=">", extra=1),
    saved(Image.fromarray(smooth(3, size=(16, 17))), "JPEG", exif=exif_block({0x0112: 6})),
    picture_file(noise(4, size=(16, 17)), "RGBA", "WEBP", lossless=True),
    saved(Image.fromarray(smooth(3, size=(16, 17))).convert("P"), "GIF"),
    saved(Image.fromarray(smooth(3, size=(16, 17))), "BMP"),
    npy_bytes(noise(3, np.uint16, (16, 17))),
    npy_bytes(smooth(1, size=(16, 17)) / 100),
    saved(
        Image.fromarray(smooth(3, size=(16, 17))),
        "TIFF",
        dpi=(300, 300),
        exif=exif_block({0x010F: "Maker", 0x0112: 6}, {0x9003: "2024:05:06 07:08:09"}),
        icc_profile=display_p3(),
    ),
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.binary(max_size=300), magic=st.sampled_from([b""] + [seed[:12] for seed in SEEDS]))
def test_arbitrary_bytes_are_refused_or_read_and_nothing_else(data: bytes, magic: bytes) -> None:
    try:
        decode(magic + data, LIMITS)
    except ImageRefused as error:
        assert error.detail


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.sampled_from(SEEDS),
    damage=st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_pictures_are_refused_or_read_and_nothing_else(seed: bytes, damage: list[tuple[int, int]]) -> None:
    data = bytearray(seed)
    for position, value in damage:
        data[position % len(data)] = value
    try:
        picture = decode(bytes(data), LIMITS)
    except ImageRefused as error:
        assert error.detail
    else:
        assert np.isfinite(picture.rgb).all()
        assert picture.rgb.shape[:2] == picture.native.shape[:2]
