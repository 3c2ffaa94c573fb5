"""Pictures as people have them, as sRGB arrays; what is none is left out and said."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from priors.photographs import UNREADABLE, Decoded, photographs, read_photograph, survey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    (tmp_path / "deep").mkdir()
    for name, size in {"b.png": (90, 120), "a.JPG": (64, 64), "deep/c.webp": (40, 33)}.items():
        Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    return tmp_path


def test_finds_pictures_below_in_a_fixed_order(folder: Path) -> None:
    assert photographs(folder) == [folder / "a.JPG", folder / "b.png", folder / "deep" / "c.webp"]


def test_a_survey_reads_sizes_and_leaves_out_what_is_no_picture(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "empty.jpg").touch()
    found = survey(photographs(folder))
    assert [(photograph.path.name, photograph.width, photograph.height) for photograph in found] == [
        ("a.JPG", 64, 64),
        ("b.png", 120, 90),
        ("c.webp", 33, 40),
    ]
    assert found[1].bytes == 120 * 90 * 3
    (record,) = caplog.records
    assert "2 of 5 pictures skipped" in record.message and "broken.png" in record.message


GREY = np.linspace(0, 255, 12 * 8).round().astype(np.uint8).reshape(12, 8)


def test_grey_of_8_and_of_16_bits(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "8.png")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "16.png")
    Image.fromarray(GREY.astype(np.uint16) * 257).save(tmp_path / "16.tif")
    for name in ("8.png", "16.png", "16.tif"):
        np.testing.assert_array_equal(read_photograph(tmp_path / name), np.repeat(GREY[..., None], 3, axis=-1))


def test_an_opaque_alpha_is_dropped_and_a_transparent_picture_refused(tmp_path: Path) -> None:
    pixels = np.full((6, 5, 4), 255, np.uint8)
    pixels[..., :3] = np.random.default_rng(0).integers(0, 256, (6, 5, 3))
    Image.fromarray(pixels).save(tmp_path / "opaque.png")
    np.testing.assert_array_equal(read_photograph(tmp_path / "opaque.png"), pixels[..., :3])
    pixels[2, 2, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "cut_out.png")
    with pytest.raises(ValueError, match="transparent"):
        read_photograph(tmp_path / "cut_out.png")


def test_pixels_without_a_known_range_are_refused(tmp_path: Path) -> None:
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="no known range"):
        read_photograph(tmp_path / "float.tif")


def test_cmyk_and_palettes_become_rgb(tmp_path: Path) -> None:
    Image.new("CMYK", (4, 4), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")  # full magenta and yellow
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([0, 0, 0, 250, 10, 20])
    palette.save(tmp_path / "palette.png")
    assert read_photograph(tmp_path / "cmyk.tif")[0, 0].tolist() == [255, 0, 0]
    assert read_photograph(tmp_path / "palette.png")[0, 0].tolist() == [250, 10, 20]


def test_a_colour_profile_is_honoured_and_one_that_does_not_fit_ignored(tmp_path: Path) -> None:
    """A profile whose red is the blue of sRGB, and the other way round."""
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exchanged = srgb.replace(b"rXYZ", b"####").replace(b"bXYZ", b"rXYZ").replace(b"####", b"bXYZ")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = Image.new("RGB", (4, 4), (10, 128, 250))
    for name, profile in {"exchanged": exchanged, "srgb": srgb, "lab": lab, "damaged": b"no profile"}.items():
        picture.save(tmp_path / f"{name}.png", icc_profile=profile)
        expected = [250, 128, 10] if name == "exchanged" else [10, 128, 250]
        np.testing.assert_allclose(read_photograph(tmp_path / f"{name}.png")[0, 0], expected, atol=1)


def test_exif_turns_the_picture_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    Image.fromarray(GREY).save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_array_equal(read_photograph(tmp_path / "turned.png")[..., 0], np.rot90(GREY, -1))


def test_a_truncated_file_is_unreadable(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("a.png", "a.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(UNREADABLE):
            read_photograph(tmp_path / name)


def test_no_more_is_held_than_the_capacity(folder: Path) -> None:
    paths = photographs(folder)
    sizes = [64 * 64 * 3, 120 * 90 * 3, 33 * 40 * 3]
    decoded = Decoded(paths, capacity=sizes[1] + sizes[2])
    first, second = decoded[1], decoded[2]
    assert decoded[1] is first and decoded[2] is second  # held
    decoded[0]  # makes room for itself: the one that was used longest ago goes
    assert decoded[2] is second and decoded[1] is not first
    nothing = Decoded(paths, capacity=0)
    np.testing.assert_array_equal(nothing[1], first)
    assert nothing[1] is not nothing[1]


def test_what_cannot_be_decoded_is_none_and_said_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    content = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(content[: len(content) // 2])
    decoded = Decoded(photographs(folder), capacity=10**6)
    with caplog.at_level(logging.WARNING):
        assert decoded[1] is None and decoded[1] is None and decoded[0] is not None
    (record,) = caplog.records
    assert "b.png skipped, 1 of 3" in record.message
