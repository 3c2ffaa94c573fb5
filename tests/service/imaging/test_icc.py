"""Profiles in floating point, against LittleCMS, against the standard's formulas, and damaged."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.imaging import ImageLimits, decode, encode, inspect
from service.imaging.colour import Grey, LittleCms, SameColours, unit_samples
from service.imaging.icc import GreyProfile, MatrixProfile, floating_conversion
from tests.pictures import (
    P3_PRIMARIES,
    SRGB_CURVE,
    SRGB_PRIMARIES,
    display_p3,
    gamma_curve,
    grey_profile,
    matrix_profile,
    noise,
    parametric_curve,
    picture_file,
    png_chunk,
    png_file,
    sampled_curve,
    smooth,
    srgb,
    tiff_file,
)

ADOBE_PRIMARIES = [(0.64, 0.33), (0.21, 0.71), (0.15, 0.06)]
CURVES = {
    "gamma": gamma_curve(2.2),
    "linear": b"curv\0\0\0\0\0\0\0\0",
    "sampled": sampled_curve(np.linspace(0, 1, 1024) ** 1.8),
    "para 0": parametric_curve(0, 1.8),
    "para 1": parametric_curve(1, 2.0, 1.05, -0.05),
    "para 2": parametric_curve(2, 2.0, 1.05, -0.05, 0.0),
    "para 3": SRGB_CURVE,
    "para 4": parametric_curve(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0),
}


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
@pytest.mark.parametrize("primaries", [P3_PRIMARIES, ADOBE_PRIMARIES], ids=["P3", "Adobe"])
def test_little_cms_agrees_to_its_own_8_bits(primaries: list[tuple[float, float]], curve: bytes) -> None:
    profile = matrix_profile(primaries, curve)
    ours, theirs = floating_conversion(profile), LittleCms(profile, "RGB")
    assert isinstance(ours, MatrixProfile)
    samples = unit_samples(noise(3) // 2 + 64)  # its 8-bit curves are coarse near black
    np.testing.assert_allclose(np.clip(ours.to_srgb(samples), 0, 1), theirs.to_srgb(samples), atol=1.5 / 255)
    np.testing.assert_allclose(np.clip(ours.from_srgb(samples), 0, 1), theirs.from_srgb(samples), atol=1.5 / 255)


@pytest.mark.parametrize("curve", CURVES.values(), ids=CURVES)
def test_conversion_is_exactly_invertible_where_srgb_can_show_the_colour(curve: bytes) -> None:
    conversion = floating_conversion(matrix_profile(P3_PRIMARIES, curve))
    samples = unit_samples(smooth(3, np.uint16))
    np.testing.assert_allclose(conversion.from_srgb(conversion.to_srgb(samples)), samples, atol=0.5 / 65535)


@pytest.mark.parametrize(
    ("kind", "numbers", "value", "light"),
    [
        (0, (2.0,), 0.5, 0.25),
        (1, (2.0, 0.5, 0.5), 0.5, 0.75**2),
        (2, (2.0, 0.5, 0.25, 0.125), 0.5, 0.5**2 + 0.125),
        (2, (2.0, 1.0, -0.25, 0.125), 0.125, 0.125),
        (3, (2.0, 0.5, 0.25, 0.125, 0.25), 0.125, 0.125**2),
        (3, (2.0, 0.5, 0.25, 0.125, 0.25), 0.5, 0.5**2),
        (4, (2.0, 0.5, 0.25, 0.5, 0.25, 0.0625, 0.03125), 0.125, 0.125 * 0.5 + 0.03125),
        (4, (2.0, 0.5, 0.25, 0.5, 0.25, 0.0625, 0.03125), 0.5, 0.5**2 + 0.0625),
    ],
)
def test_parametric_curves_by_hand(kind: int, numbers: tuple[float, ...], value: float, light: float) -> None:
    """Table 68 of ICC.1:2022."""
    curve = floating_conversion(matrix_profile(P3_PRIMARIES, parametric_curve(kind, *numbers))).curves[0]
    assert curve.light(np.float32([value]))[0] == pytest.approx(light, abs=1e-6)
    if light != 0.125 or kind != 2:  # the flat part of a curve has no way back
        assert curve.value(np.float32([light]))[0] == pytest.approx(value, abs=1e-6)


def test_the_p3_red_lies_outside_srgb() -> None:
    red = floating_conversion(display_p3()).to_srgb(np.array([[[1, 0, 0]]], np.float32))
    np.testing.assert_allclose(red, [[[1.0930, -0.2267, -0.1501]]], atol=2e-3)  # CSS Color 4, sample conversions


def test_grey_curves() -> None:
    conversion = floating_conversion(grey_profile(1.8))
    assert isinstance(conversion, GreyProfile)
    light = 0.5**1.8
    np.testing.assert_allclose(
        conversion.to_srgb(np.array([[[0.5]]], np.float32)), [[[1.055 * light ** (1 / 2.4) - 0.055] * 3]], atol=1e-3
    )
    ramp = np.linspace(0, 1, 256, dtype=np.float32).reshape(16, 16, 1)
    np.testing.assert_allclose(conversion.to_srgb(ramp), LittleCms(grey_profile(1.8), "L").to_srgb(ramp), atol=2 / 255)
    np.testing.assert_allclose(conversion.from_srgb(conversion.to_srgb(ramp)), ramp, atol=1e-6)


def test_srgb_by_any_name_is_left_alone() -> None:
    assert floating_conversion(srgb()) == SameColours()
    assert floating_conversion(matrix_profile(SRGB_PRIMARIES, SRGB_CURVE)) == SameColours()
    x = np.linspace(0, 1, 1024)
    table = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
    assert floating_conversion(matrix_profile(SRGB_PRIMARIES, sampled_curve(table))) == SameColours()
    assert floating_conversion(grey_profile(2.2)) != Grey()


def test_profiles_with_tables_are_left_to_little_cms() -> None:
    assert floating_conversion(matrix_profile(P3_PRIMARIES, SRGB_CURVE, extra={b"A2B0": b"mft2" + bytes(64)})) is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_pictures_with_a_profile_come_back_in_it(limits: ImageLimits, dtype: type) -> None:
    samples = smooth(3, dtype)
    for data in (
        png_file(samples, png_chunk(b"iCCP", b"P3\0\0" + zlib.compress(display_p3()))),
        tiff_file(samples, 2, icc=display_p3()),
    ):
        assert inspect(data, limits).has_icc
        picture = decode(data, limits)
        assert abs(picture.rgb - unit_samples(samples)).max() > 0.01
        for format in ("png", "tiff"):
            result = decode(encode(picture.rgb, picture, format=format).data, limits)
            assert result.metadata.icc == display_p3()
            np.testing.assert_array_equal(result.native, samples)


@pytest.mark.parametrize("format", ["png", "tiff", "webp", "jpeg"])
def test_every_format_carries_the_profile(limits: ImageLimits, format: str) -> None:
    picture = decode(picture_file(smooth(3), "RGB", "PNG", icc_profile=display_p3()), limits)
    result = decode(encode(picture.rgb, picture, format=format).data, limits)
    assert result.metadata.icc == display_p3()
    np.testing.assert_allclose(result.rgb, picture.rgb, atol=0.06 if format in ("webp", "jpeg") else 1e-6)


def test_without_metadata_the_colours_stay_and_the_profile_goes(limits: ImageLimits) -> None:
    picture = decode(picture_file(smooth(3), "RGB", "PNG", icc_profile=display_p3()), limits)
    result = encode(picture.rgb, picture, keep_metadata=False, keep=np.ones((37, 53), bool))
    back = decode(result.data, limits)
    assert back.metadata.icc is None
    np.testing.assert_allclose(back.rgb, picture.rgb, atol=0.51 / 255)
    assert result.known_pixels_equal is False
    assert "profile_converted" in dict(result.warnings)
    plain = decode(picture_file(smooth(3), "RGB", "PNG", icc_profile=srgb()), limits)
    stripped = encode(plain.rgb, plain, keep_metadata=False, keep=np.ones((37, 53), bool))
    assert (stripped.known_pixels_equal, stripped.warnings) == (True, [])


@pytest.mark.parametrize(
    "profile",
    [
        b"not a profile at all",
        display_p3()[:200],
        srgb()[:100] + bytes(400),
        matrix_profile(P3_PRIMARIES, b"curv\0\0\0\0\xff\xff\xff\xff"),
        matrix_profile(P3_PRIMARIES, sampled_curve(np.linspace(1, 0, 16))),
        matrix_profile(P3_PRIMARIES, gamma_curve(0)),
        grey_profile(2.2),
    ],
    ids=["text", "cut", "zeros", "count", "falling", "gamma 0", "of grey"],
)
def test_a_profile_that_cannot_be_used_is_left_out_with_a_warning(limits: ImageLimits, profile: bytes) -> None:
    picture = decode(picture_file(noise(3), "RGB", "PNG", icc_profile=profile), limits)
    np.testing.assert_array_equal(picture.native, noise(3))
    np.testing.assert_array_equal(picture.rgb, unit_samples(noise(3)))
    assert "icc_unusable" in dict(picture.warnings)
    assert picture.metadata.icc is None


@settings(max_examples=200, deadline=None)
@given(damage=st.lists(st.tuples(st.integers(128, 700), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_profiles_give_numbers_or_a_warning(damage: list[tuple[int, int]]) -> None:
    profile = bytearray(display_p3())
    for position, value in damage:
        profile[position % len(profile)] = value
    data = picture_file(noise(3, size=(16, 16)), "RGB", "TIFF", icc_profile=bytes(profile))
    picture = decode(data, ImageLimits(10**6, 10**6, 1))
    assert np.isfinite(picture.rgb).all()
    assert (picture.metadata.icc is None) == ("icc_unusable" in dict(picture.warnings))
    back = encode(picture.rgb, picture, keep=np.ones((16, 16), bool))
    np.testing.assert_array_equal(decode(back.data, ImageLimits(10**6, 10**6, 1)).native, picture.native)


def test_colours_outside_srgb_are_named_and_put_back_where_the_scene_is_the_same(limits: ImageLimits) -> None:
    samples = noise(3)
    picture = decode(picture_file(samples, "RGB", "PNG", icc_profile=display_p3()), limits)
    assert "colours_clipped" in dict(picture.warnings)
    assert 0 <= picture.rgb.min() <= picture.rgb.max() <= 1
    back = decode(encode(picture.rgb, picture, same_scene=True).data, limits)
    np.testing.assert_array_equal(back.native, samples)
    duller = decode(encode(picture.rgb, picture).data, limits)
    assert abs(duller.rgb - picture.rgb).mean() < 1 / 255
    assert abs(duller.native.astype(int) - samples).max() > 10
    calm = decode(picture_file(smooth(3), "RGB", "PNG", icc_profile=display_p3()), limits)
    assert calm.warnings == ()
    with pytest.raises(ValueError, match="same_scene"):
        encode(np.repeat(np.repeat(picture.rgb, 2, 0), 2, 1), picture, scale=2, same_scene=True)
