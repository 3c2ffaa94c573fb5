"""Polarity, growth and every mask that makes no sense."""

import numpy as np
import pytest
from PIL import Image
from PIL.ExifTags import Base

from service.imaging import ImageLimits, ImageRefused, Picture, decode, observed_mask
from service.imaging.masks import MaskMode, grown
from tests.pictures import display_p3, exif_block, noise, picture_file, png_file, saved


@pytest.fixture
def picture(limits: ImageLimits) -> Picture:
    return decode(png_file(noise(3)), limits)


HOLE = np.zeros((37, 53), bool)
HOLE[5:20, 7:31] = True


def painted(hole: np.ndarray, on: int = 255, off: int = 0) -> np.ndarray:
    return np.where(hole, on, off).astype(np.uint8)[..., None]


def read(
    data: bytes | None, picture: Picture, limits: ImageLimits, mode: MaskMode = "white_unknown", **options
) -> np.ndarray:
    return observed_mask(data, picture, mode=mode, limits=limits, **({"threshold": 0.5, "grow": 0} | options))


def test_polarity(picture: Picture, limits: ImageLimits) -> None:
    np.testing.assert_array_equal(read(png_file(painted(HOLE)), picture, limits), ~HOLE)
    np.testing.assert_array_equal(read(png_file(painted(~HOLE)), picture, limits, "black_unknown"), ~HOLE)
    opaque_outside = np.dstack([noise(3), painted(~HOLE)])
    np.testing.assert_array_equal(read(png_file(opaque_outside), picture, limits, "alpha_unknown"), ~HOLE)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16", "RGB;16", "JPEG", "ICC"])
def test_any_kind_of_picture_is_a_mask(picture: Picture, limits: ImageLimits, mode: str) -> None:
    image = Image.fromarray(painted(HOLE)[..., 0])
    files = {
        "I;16": lambda: png_file(painted(HOLE).astype(np.uint16) * 257),
        "RGB;16": lambda: png_file(np.repeat(painted(HOLE), 3, 2).astype(np.uint16) * 257),
        "JPEG": lambda: saved(image, "JPEG", quality=95),
        "ICC": lambda: saved(image.convert("RGB"), "PNG", icc_profile=display_p3()),
    }
    data = files[mode]() if mode in files else saved(image.convert(mode), "PNG")
    np.testing.assert_array_equal(read(data, picture, limits), ~HOLE)


def test_the_threshold_is_the_last_value_that_counts_as_dark(picture: Picture, limits: ImageLimits) -> None:
    ramp = np.arange(37 * 53, dtype=np.int64).reshape(37, 53, 1) % 256
    data = png_file(ramp.astype(np.uint8))
    for value in (1, 51, 128, 254):
        unknown = ~read(data, picture, limits, threshold=value / 255)
        np.testing.assert_array_equal(unknown, ramp[..., 0] > value)
        unknown = ~read(data, picture, limits, "black_unknown", threshold=value / 255)
        np.testing.assert_array_equal(unknown, ramp[..., 0] <= value)


def test_what_is_transparent_was_not_painted(picture: Picture, limits: ImageLimits) -> None:
    """An editor's layer: everything white, or everything black, and opaque only where the brush went."""
    white = np.dstack([painted(np.ones_like(HOLE)), painted(HOLE)])
    np.testing.assert_array_equal(read(png_file(white), picture, limits), ~HOLE)
    black = np.dstack([painted(np.zeros_like(HOLE)), painted(HOLE)])
    np.testing.assert_array_equal(read(png_file(black), picture, limits, "black_unknown"), ~HOLE)


def test_the_pictures_own_alpha_is_used_without_a_mask(limits: ImageLimits) -> None:
    own = decode(png_file(np.dstack([noise(3), painted(~HOLE)])), limits)
    np.testing.assert_array_equal(read(None, own, limits, "alpha_unknown"), ~HOLE)


def refusal(
    data: bytes | None, picture: Picture, limits: ImageLimits, mode: MaskMode = "white_unknown", **options
) -> ImageRefused:
    with pytest.raises(ImageRefused) as caught:
        read(data, picture, limits, mode, **options)
    return caught.value


def test_sizes_are_compared_after_both_turns(limits: ImageLimits) -> None:
    sideways = saved(Image.fromarray(noise(3)), "PNG", exif=exif_block({Base.Orientation: 6}))
    picture = decode(sideways, limits)
    upright = np.rot90(painted(HOLE), -1).copy()
    np.testing.assert_array_equal(read(png_file(upright), picture, limits), np.rot90(~HOLE, -1))
    turned = saved(Image.fromarray(painted(HOLE)[..., 0]), "PNG", exif=exif_block({Base.Orientation: 6}))
    np.testing.assert_array_equal(read(turned, picture, limits), np.rot90(~HOLE, -1))
    error = refusal(png_file(painted(HOLE)), picture, limits)
    assert error.code == "mask_size_mismatch"
    assert "53 x 37" in error.detail
    assert "37 x 53" in error.detail


def test_masks_that_mark_nothing_or_everything(picture: Picture, limits: ImageLimits) -> None:
    black, white = png_file(painted(np.zeros_like(HOLE))), png_file(painted(np.ones_like(HOLE)))
    cases = [(black, "white_unknown", "mask_empty"), (white, "white_unknown", "mask_full")]
    cases += [(white, "black_unknown", "mask_empty"), (black, "black_unknown", "mask_full")]
    for data, mode, code in cases:
        error = refusal(data, picture, limits, mode)
        assert error.code == code
        assert "53 x 37" in error.detail
    grown_over = refusal(png_file(painted(HOLE)), picture, limits, grow=60)
    assert (grown_over.code, "60 pixels" in grown_over.detail) == ("mask_full", True)
    assert refusal(black, picture, limits, grow=60).code == "mask_empty"


def test_missing_alpha_and_missing_masks_say_what_is_needed(picture: Picture, limits: ImageLimits) -> None:
    assert "alpha" in refusal(png_file(painted(HOLE)), picture, limits, "alpha_unknown").detail
    assert "alpha" in refusal(None, picture, limits, "alpha_unknown").detail
    assert "needs a mask" in refusal(None, picture, limits).detail
    layer = png_file(np.dstack([np.zeros((37, 53, 3), np.uint8), painted(~HOLE)]))
    assert "alpha_unknown would read that" in refusal(layer, picture, limits).detail


def test_masks_pass_the_same_guards_as_pictures(picture: Picture, limits: ImageLimits) -> None:
    assert refusal(b"no picture", picture, limits).code == "unsupported_image"
    assert refusal(b"", picture, limits).code == "unsupported_image"
    assert refusal(bytes(limits.max_bytes + 1), picture, limits).code == "file_too_large"
    assert refusal(png_file(painted(HOLE[:1, :1])), picture, limits).code == "mask_size_mismatch"
    assert refusal(picture_file(painted(HOLE), "L", "PNG")[:70], picture, limits).code == "unsupported_image"


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 9, 100])
def test_growing_reaches_exactly_the_pixels_within_the_radius(radius: int) -> None:
    unknown = np.random.default_rng(radius).random((37, 53)) > 0.995
    unknown[3, 50] = True
    y, x = np.mgrid[0:37, 0:53]
    expected = np.zeros_like(unknown)
    for top, left in np.argwhere(unknown):
        expected |= (y - top) ** 2 + (x - left) ** 2 <= radius**2
    np.testing.assert_array_equal(grown(unknown, radius), expected)


def test_grown_masks_keep_less(picture: Picture, limits: ImageLimits) -> None:
    observed = read(png_file(painted(HOLE)), picture, limits, grow=3)
    np.testing.assert_array_equal(observed, ~grown(HOLE, 3))
