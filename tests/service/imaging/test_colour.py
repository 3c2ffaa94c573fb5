"""Conversions without a profile, LittleCMS, and the step between samples and numbers."""

import numpy as np
import pytest

from service.imaging.colour import (
    Conversion,
    Grey,
    LittleCms,
    SameColours,
    UncalibratedInk,
    by_blocks,
    unit_samples,
    whole_samples,
)
from tests.pictures import display_p3, noise


@pytest.mark.parametrize(
    ("conversion", "channels", "tolerance"),
    [(SameColours(), 3, 0), (Grey(), 1, 1e-6), (UncalibratedInk(), 3, 1e-6)],
)
def test_srgb_comes_back(conversion: Conversion, channels: int, tolerance: float) -> None:
    rgb = unit_samples(noise(3))
    if channels == 1:
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
    rgb[0, 0] = 0  # black, where ink has no hue
    np.testing.assert_allclose(conversion.to_srgb(conversion.from_srgb(rgb)), rgb, atol=tolerance)


def test_ink_by_hand() -> None:
    half_cyan_with_black = np.array([[[0.5, 0, 0, 0.2]]], np.float32)
    np.testing.assert_allclose(UncalibratedInk().to_srgb(half_cyan_with_black), [[[0.4, 0.8, 0.8]]], atol=1e-6)
    np.testing.assert_allclose(
        UncalibratedInk().from_srgb(np.array([[[0.4, 0.8, 0.8]]], np.float32)), half_cyan_with_black
    )


def test_grey_of_a_colour_is_its_luma() -> None:
    np.testing.assert_allclose(
        Grey().from_srgb(np.array([[[1, 0.5, 0]]], np.float32)), [[[0.2126 + 0.3576]]], atol=1e-6
    )


def test_little_cms_knows_the_direction() -> None:
    """The red of Display P3 is redder than sRGB can show; the red of sRGB is a duller red in Display P3."""
    p3 = LittleCms(display_p3(), "RGB")
    red = np.array([[[1, 0, 0]]], np.float32)
    np.testing.assert_allclose(p3.to_srgb(red), [[[1, 0, 0]]], atol=0.01)
    np.testing.assert_allclose(p3.from_srgb(red), [[[0.9175, 0.2003, 0.1386]]], atol=0.01)  # CSS Color 4, 10.3


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_sample_value_comes_back(dtype: type) -> None:
    every = np.arange(np.iinfo(dtype).max + 1, dtype=dtype)
    np.testing.assert_array_equal(whole_samples(unit_samples(every), np.dtype(dtype)), every)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_halves_are_rounded_up_and_the_rest_is_clipped(dtype: type) -> None:
    white = np.iinfo(dtype).max
    halves = (np.arange(white, dtype=np.float64) + 0.5) / white
    below = np.nextafter((np.arange(white) + 0.5) / white * (1 - 1e-9), 0)
    np.testing.assert_array_equal(whole_samples(halves + 1e-15, np.dtype(dtype)), np.arange(white) + 1)
    np.testing.assert_array_equal(whole_samples(below, np.dtype(dtype)), np.arange(white))
    np.testing.assert_array_equal(whole_samples(np.array([-1.0, 2.0]), np.dtype(dtype)), [0, white])


def test_blocks_give_what_one_call_gives() -> None:
    rgb = unit_samples(noise(3, size=(600, 3)))
    np.testing.assert_array_equal(by_blocks(rgb, 4, UncalibratedInk().from_srgb), UncalibratedInk().from_srgb(rgb))
