"""What `inspect` and `decode` say of a file, and that they do so from many threads."""

import hashlib
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from service.imaging import ImageInfo, ImageLimits, decode, inspect
from tests.pictures import exif_block, noise, picture_file, png_chunk, png_file, saved, srgb, tiff_file


def test_inspect_tells_the_file_and_decode_agrees(limits: ImageLimits) -> None:
    data = picture_file(noise(4), "RGBA", "TIFF", icc_profile=srgb())
    info = ImageInfo(53, 37, "RGBA", "TIFF", 8, True, True, len(data), hashlib.sha256(data).hexdigest())
    assert inspect(data, limits) == info
    picture = decode(data, limits)
    assert (picture.width, picture.height, picture.mode, picture.format) == (53, 37, "RGBA", "TIFF")


def test_values_are_srgb_between_0_and_1(limits: ImageLimits) -> None:
    for dtype in (np.uint8, np.uint16):
        samples = noise(4, dtype)
        picture = decode(png_file(samples), limits)
        np.testing.assert_allclose(picture.rgb, samples[..., :3] / np.iinfo(dtype).max, rtol=1e-6)
        np.testing.assert_allclose(picture.alpha, samples[..., 3] / np.iinfo(dtype).max, rtol=1e-6)
        assert picture.rgb.dtype == picture.alpha.dtype == np.float32
    grey = decode(png_file(noise(1)), limits).rgb
    np.testing.assert_allclose(grey, np.repeat(noise(1) / 255, 3, 2), rtol=1e-6)


def test_damage_beside_the_pixels_is_a_warning(limits: ImageLimits) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = png_file(noise(3), png_chunk(b"eXIf", b"no TIFF block at all"))
        picture = decode(data, limits)
    assert "exif_unreadable" in dict(picture.warnings)
    np.testing.assert_array_equal(picture.native, noise(3))


def test_resolutions_that_are_nonsense_are_left_out(limits: ImageLimits) -> None:
    plain = decode(png_file(noise(3), png_chunk(b"pHYs", bytes(8) + b"\1")), limits)
    assert plain.metadata.dpi is None
    assert decode(saved(Image.fromarray(noise(3)), "JPEG", dpi=(72, 72)), limits).metadata.dpi == (72, 72)


def test_many_threads_with_limits_of_their_own(limits: ImageLimits) -> None:
    """Pillow's own pixel limit is one number for the whole process; ours must neither change nor need it."""
    before = Image.MAX_IMAGE_PIXELS
    wide = ImageLimits(limits.max_bytes, 10**9, 16)
    files = [png_file(noise(3, np.uint16)), tiff_file(noise(4), 5), saved(Image.fromarray(noise(3)), "WEBP")]
    files.append(saved(Image.fromarray(noise(3)), "JPEG", exif=exif_block({0x0112: 6})))
    alone = [decode(data, limits).rgb for data in files]
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(decode, files[i % 4], (limits, wide)[i % 2]) for i in range(64)]
        for i, job in enumerate(jobs):
            np.testing.assert_array_equal(job.result().rgb, alone[i % 4])
    assert before == Image.MAX_IMAGE_PIXELS
