"""Back to the same kind of file: every kind, known pixels, and what is said when something cannot be kept."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from service.imaging import ImageLimits, decode, encode
from tests.pictures import (
    cmyk_profile,
    display_p3,
    grey_profile,
    noise,
    picture_file,
    png_chunk,
    png_file,
    saved,
    smooth,
    srgb,
    tiff_file,
)


@dataclass(frozen=True)
class Kind:
    """One kind of source file and what its PNG or TIFF result has to look like."""

    file: Callable[[], bytes]
    mode: str
    """Of the result in the format `same`, as `decode` names it."""
    lossy: bool = False
    changed: bool = False
    """Whether the result has another mode than the source, and says so."""


def palette(**options: object) -> bytes:
    return saved(Image.fromarray(noise(3)).quantize(60), "PNG", **options)


KINDS = {
    "L PNG": Kind(lambda: png_file(noise(1)), "L"),
    "LA PNG": Kind(lambda: png_file(noise(2)), "LA"),
    "RGB PNG": Kind(lambda: png_file(noise(3)), "RGB"),
    "RGBA PNG": Kind(lambda: png_file(noise(4)), "RGBA"),
    "L16 PNG": Kind(lambda: png_file(noise(1, np.uint16)), "I;16"),
    "LA16 PNG": Kind(lambda: png_file(noise(2, np.uint16)), "LA;16"),
    "RGB16 PNG": Kind(lambda: png_file(noise(3, np.uint16)), "RGB;16"),
    "RGBA16 PNG": Kind(lambda: png_file(noise(4, np.uint16)), "RGBA;16"),
    "1 PNG": Kind(lambda: saved(Image.fromarray(noise(1)[..., 0] > 99), "PNG"), "L", changed=True),
    "P PNG": Kind(palette, "RGB", changed=True),
    "P PNG one clear": Kind(lambda: palette(transparency=3), "RGBA", changed=True),
    "P PNG many clear": Kind(lambda: palette(transparency=bytes(range(60))), "RGBA", changed=True),
    "RGB PNG key": Kind(lambda: png_file(noise(3), png_chunk(b"tRNS", bytes(6))), "RGBA"),
    "L TIFF": Kind(lambda: tiff_file(noise(1), 1), "L"),
    "LA TIFF": Kind(lambda: tiff_file(noise(2), 1, extra=2), "LA"),
    "RGB TIFF": Kind(lambda: tiff_file(noise(3), 2, compressed=True), "RGB"),
    "RGBA TIFF": Kind(lambda: tiff_file(noise(4), 2, extra=2), "RGBA"),
    "CMYK TIFF": Kind(lambda: tiff_file(noise(4), 5), "CMYK"),
    "L16 TIFF": Kind(lambda: tiff_file(noise(1, np.uint16), 1), "I;16"),
    "LA16 TIFF": Kind(lambda: tiff_file(noise(2, np.uint16), 1, extra=2), "LA;16"),
    "RGB16 TIFF": Kind(lambda: tiff_file(noise(3, np.uint16), 2, order=">"), "RGB;16"),
    "RGBA16 TIFF": Kind(lambda: tiff_file(noise(4, np.uint16), 2, extra=2), "RGBA;16"),
    "CMYK ICC TIFF": Kind(lambda: tiff_file(noise(4), 5, icc=cmyk_profile()), "CMYK"),
    "CMYK ICC JPEG": Kind(
        lambda: picture_file(noise(4), "CMYK", "JPEG", icc_profile=cmyk_profile()), "CMYK", lossy=True
    ),
    "CMYK16 TIFF": Kind(lambda: tiff_file(noise(4, np.uint16), 5), "CMYK;16"),
    "1 TIFF": Kind(lambda: saved(Image.fromarray(noise(1)[..., 0] > 99), "TIFF"), "L", changed=True),
    "P TIFF": Kind(lambda: saved(Image.fromarray(noise(3)).quantize(60), "TIFF"), "RGB", changed=True),
    "L JPEG": Kind(lambda: picture_file(noise(1), "L", "JPEG"), "L", lossy=True),
    "RGB JPEG": Kind(lambda: picture_file(noise(3), "RGB", "JPEG"), "RGB", lossy=True),
    "CMYK JPEG": Kind(lambda: picture_file(noise(4), "CMYK", "JPEG"), "CMYK", lossy=True),
    "RGB WebP": Kind(lambda: picture_file(noise(3), "RGB", "WEBP"), "RGB"),
    "RGBA WebP": Kind(lambda: picture_file(noise(4), "RGBA", "WEBP", lossless=True, exact=True), "RGBA"),
    "P3 PNG": Kind(lambda: picture_file(noise(3), "RGB", "PNG", icc_profile=display_p3()), "RGB"),
    "P3 TIFF": Kind(lambda: tiff_file(noise(3, np.uint16), 2, icc=display_p3()), "RGB;16"),
    "grey ICC PNG": Kind(lambda: picture_file(noise(1), "L", "PNG", icc_profile=grey_profile(1.8)), "L"),
    "sRGB WebP": Kind(lambda: picture_file(noise(3), "RGB", "WEBP", icc_profile=srgb()), "RGB"),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_known_pixels_are_byte_equal_and_the_file_is_of_the_same_kind(limits: ImageLimits, kind: Kind) -> None:
    source = decode(kind.file(), limits)
    keep = np.random.default_rng(1).random((37, 53)) > 0.3
    result = encode(np.full_like(source.rgb, 0.5), source, format="same", quality=100, keep=keep)
    back = decode(result.data, limits)
    assert (back.mode, back.format) == (kind.mode, source.format)
    assert back.metadata.icc == source.metadata.icc
    assert result.known_pixels_equal is not kind.lossy
    assert ("lossy_format" in dict(result.warnings)) is kind.lossy
    assert ("mode_changed" in dict(result.warnings)) is kind.changed
    assert (result.bit_depth, result.width, result.height) == (8 * source.native.dtype.itemsize, 53, 37)
    if not kind.lossy:
        np.testing.assert_array_equal(back.native[keep], source.native[keep])
        assert not np.array_equal(back.colours[~keep], source.colours[~keep])
    if source.alpha is not None:
        np.testing.assert_array_equal(back.alpha, source.alpha)


@pytest.mark.parametrize(
    "name", [name for name in KINDS if not KINDS[name].lossy and "P3" not in name and "CMYK ICC" not in name]
)
def test_a_picture_that_nobody_changed_comes_back_as_it_was(limits: ImageLimits, name: str) -> None:
    source = decode(KINDS[name].file(), limits)
    back = decode(encode(source.rgb, source, format="same", quality=100).data, limits)
    if source.model == "cmyk":  # many inks make one colour
        np.testing.assert_allclose(back.rgb, source.rgb, atol=1.1 / np.iinfo(source.native.dtype).max)
    else:
        np.testing.assert_array_equal(back.native, source.native)


def test_unknown_pixels_are_the_new_ones(limits: ImageLimits) -> None:
    source = decode(png_file(noise(3)), limits)
    new = smooth(3)
    back = decode(encode(new / np.float32(255), source, keep=np.zeros((37, 53), bool)).data, limits)
    np.testing.assert_array_equal(back.native, new)


@pytest.mark.parametrize("format", ["png", "tiff"])
def test_depths_are_changed_only_when_asked(limits: ImageLimits, format: str) -> None:
    everything = np.ones((37, 53), bool)
    shallow, deep = decode(png_file(noise(3)), limits), decode(png_file(noise(3, np.uint16)), limits)
    deeper = encode(shallow.rgb, shallow, format=format, bit_depth="16", keep=everything)
    np.testing.assert_array_equal(decode(deeper.data, limits).native, noise(3).astype(np.uint16) * 257)
    assert (deeper.bit_depth, deeper.known_pixels_equal, deeper.warnings) == (16, True, [])
    flatter = encode(deep.rgb, deep, format=format, bit_depth="8", keep=everything)
    np.testing.assert_array_equal(decode(flatter.data, limits).native, np.floor(noise(3, np.uint16) / 257 + 0.5))
    assert (flatter.bit_depth, flatter.known_pixels_equal) == (8, False)
    assert "bit_depth_changed" in dict(flatter.warnings)


def test_formats_without_16_bits_say_so(limits: ImageLimits) -> None:
    deep = decode(png_file(noise(3, np.uint16)), limits)
    for format in ("jpeg", "webp"):
        result = encode(deep.rgb, deep, format=format, quality=100, keep=np.ones((37, 53), bool))
        assert (result.bit_depth, result.known_pixels_equal) == (8, False)
        assert "bit_depth_changed" in dict(result.warnings)


def test_alpha_is_carried_dropped_or_lost_and_said(limits: ImageLimits) -> None:
    source = decode(png_file(noise(4)), limits)
    dropped = encode(source.rgb, source, keep_alpha=False)
    assert decode(dropped.data, limits).mode == "RGB"
    assert dropped.warnings == []
    lost = encode(source.rgb, source, format="jpeg")
    assert {"alpha_dropped", "lossy_format"} <= dict(lost.warnings).keys()


def test_super_resolution_resizes_alpha_apart_from_the_colours(limits: ImageLimits) -> None:
    samples = np.dstack([noise(3), np.where(np.mgrid[0:37, 0:53][1] > 26, 255, 0).astype(np.uint8)])
    source = decode(png_file(samples), limits)
    large = np.repeat(np.repeat(source.rgb, 3, 0), 3, 1)
    back = decode(encode(large, source, scale=3).data, limits)
    np.testing.assert_array_equal(back.colours, np.repeat(np.repeat(samples[..., :3], 3, 0), 3, 1))
    assert back.native.shape == (111, 159, 4)
    assert (back.alpha[:, :72] == 0).all()  # three pixels of the source away from the edge, where Lanczos ends
    assert (back.alpha[:, 90:] == 1).all()
    assert (np.diff(back.alpha[50, 78:84]) > 0).any()


def test_mistakes_of_the_caller_are_value_errors(limits: ImageLimits) -> None:
    source = decode(png_file(noise(3)), limits)
    for shape in ((37, 52, 3), (37, 53, 1), (74, 106, 3)):
        with pytest.raises(ValueError, match="3 channels"):
            encode(np.zeros(shape, np.float32), source)
    with pytest.raises(ValueError, match="keep"):
        encode(np.zeros((74, 106, 3), np.float32), source, scale=2, keep=np.ones((37, 53), bool))
    with pytest.raises(ValueError, match="keep"):
        encode(source.rgb, source, keep=np.ones((53, 37), bool))


def test_cmyk_with_a_profile_goes_through_it_both_ways(limits: ImageLimits) -> None:
    samples = np.zeros((37, 53, 4), np.uint8)
    samples[10:20] = (0, 0, 0, 255)
    samples[20:30] = (0, 0, 0, 128)
    source = decode(tiff_file(samples, 5, icc=cmyk_profile()), limits)
    np.testing.assert_allclose(source.rgb[:10], 1, atol=0.01)
    assert source.rgb[10:20].max() < 0.02
    assert 0.4 < source.rgb[20:30].mean() < 0.6
    back = decode(encode(source.rgb, source, format="tiff").data, limits)
    np.testing.assert_allclose(back.rgb, source.rgb, atol=0.05)
    stripped = encode(source.rgb, source, format="tiff", keep_metadata=False)
    assert "profile_converted" in dict(stripped.warnings)
    np.testing.assert_allclose(decode(stripped.data, limits).rgb, source.rgb, atol=0.51 / 255)


def test_cmyk_becomes_rgb_where_the_format_has_none(limits: ImageLimits) -> None:
    source = decode(tiff_file(noise(4), 5), limits)
    for format in ("png", "webp"):
        result = encode(source.rgb, source, format=format, quality=100, keep=np.ones((37, 53), bool))
        assert result.known_pixels_equal is False
        assert "mode_changed" in dict(result.warnings)
        np.testing.assert_allclose(decode(result.data, limits).rgb, source.rgb, atol=0.51 / 255)


def test_grey_in_webp_stays_equal_and_its_profile_is_not_put_on_rgb(limits: ImageLimits) -> None:
    plain = decode(png_file(noise(1)), limits)
    result = encode(plain.rgb, plain, format="webp", quality=100, keep=np.ones((37, 53), bool))
    assert result.known_pixels_equal
    np.testing.assert_array_equal(decode(result.data, limits).native, np.repeat(noise(1), 3, 2))
    profiled = decode(KINDS["grey ICC PNG"].file(), limits)
    result = encode(profiled.rgb, profiled, format="webp", quality=100)
    assert {"mode_changed", "profile_converted"} <= dict(result.warnings).keys()
    back = decode(result.data, limits)
    assert back.metadata.icc is None
    np.testing.assert_allclose(back.rgb, profiled.rgb, atol=0.51 / 255)


def test_gif_and_too_long_sides_become_png(limits: ImageLimits) -> None:
    gif = decode(saved(Image.fromarray(noise(3)).quantize(60), "GIF"), limits)
    result = encode(gif.rgb, gif, format="same")
    assert (result.media_type, "format_changed" in dict(result.warnings)) == ("image/png", True)
    wide = decode(png_file(noise(3, size=(16, 16_400))), limits)
    result = encode(wide.rgb, wide, format="webp")
    assert (result.media_type, "format_changed" in dict(result.warnings)) == ("image/png", True)


@pytest.mark.parametrize(
    ("format", "media_type"), [("png", "image/png"), ("webp", "image/webp"), ("jpeg", "image/jpeg")]
)
def test_lossy_quality_and_media_types(limits: ImageLimits, format: str, media_type: str) -> None:
    source = decode(png_file(smooth(3)), limits)
    good, poor = (encode(source.rgb, source, format=format, quality=quality) for quality in (98, 20))
    assert good.media_type == poor.media_type == media_type
    errors = [np.abs(decode(result.data, limits).rgb - source.rgb).mean() for result in (good, poor)]
    assert errors == [0, 0] if format == "png" else errors[0] < errors[1]


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (301, 16), (257, 255)])
def test_odd_sizes(limits: ImageLimits, size: tuple[int, int]) -> None:
    for samples in (noise(3, size=size), noise(4, np.uint16, size)):
        source = decode(png_file(samples), limits)
        for format in ("png", "tiff"):
            back = decode(encode(source.rgb, source, format=format).data, limits)
            np.testing.assert_array_equal(back.native, samples)


def test_importing_this_room_loads_no_torch() -> None:
    code = "import sys, service.imaging; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_hole_that_the_alpha_marked_becomes_opaque(dtype: type, limits: ImageLimits) -> None:
    samples = noise(4, dtype)
    source = decode(png_file(samples), limits)
    hole = np.zeros(samples.shape[:2], bool)
    hole[2:5, 3:9] = True
    result = decode(encode(source.rgb, source, opaque=hole).data, limits)
    assert (result.native[hole, -1] == np.iinfo(dtype).max).all()
    assert (result.native[~hole, -1] == samples[~hole, -1]).all()


def test_without_alpha_there_is_nothing_to_make_opaque(limits: ImageLimits) -> None:
    source = decode(png_file(noise(3)), limits)
    everywhere = np.ones(source.rgb.shape[:2], bool)
    assert encode(source.rgb, source, opaque=everywhere).data == encode(source.rgb, source).data
