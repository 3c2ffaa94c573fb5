"""Arrays as pictures: every kind that is read, what is written, and what a hostile file can do."""

import io
import tracemalloc

import numpy as np
import pytest

from service.arrays import NotNpy, npy_bytes, npy_header
from service.imaging import ImageLimits, ImageRefused, blank, decode, encode, inspect, kernel_picture, observed_at
from tests.pictures import noise, png_file, png_samples

LIMITS = ImageLimits(max_bytes=2**20, max_pixels=10_000, min_side=16)
RAMP = np.linspace(-1, 3, 37 * 53).reshape(37, 53)
"""A measurement, on the scale where 0 is black and 1 is white."""


def header(shape: object, descr: object = "<f4", length: int = 117) -> bytes:
    """An `.npy` file that ends after its header."""
    text = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(length) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f8"])
@pytest.mark.parametrize("form", ["plane", "grey", "colours", "fortran"])
def test_floats_are_values_and_not_limited(dtype: object, form: str) -> None:
    array = {"plane": RAMP, "grey": RAMP[..., None], "colours": np.stack([RAMP, -RAMP, 2 * RAMP], 2)}
    given = array.get(form, np.asfortranarray(RAMP)).astype(dtype)
    picture, info = decode(npy_bytes(given), LIMITS), inspect(npy_bytes(given), LIMITS)
    assert picture.rgb.dtype == np.float32
    np.testing.assert_array_equal(picture.rgb, np.broadcast_to(given.reshape(37, 53, -1), (37, 53, 3)).astype("f4"))
    is_grey = form != "colours"
    assert (picture.model, info.mode) == (("grey", "F") if is_grey else ("rgb", "RGB;F"))
    assert (info.width, info.height, info.format, info.bit_depth) == (53, 37, "NPY", 8 * given.dtype.itemsize)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, ">u2"])
def test_integers_are_the_picture_of_that_depth(dtype: object, channels: int) -> None:
    samples = noise(channels, np.dtype(dtype).newbyteorder("=").type)
    array, file = (decode(data, LIMITS) for data in (npy_bytes(samples.astype(dtype)), png_file(samples)))
    np.testing.assert_array_equal(array.rgb, file.rgb)
    np.testing.assert_array_equal(array.native, file.native)
    assert (array.mode, array.bit_depth, array.model) == (file.mode, file.bit_depth, file.model)


@pytest.mark.parametrize(
    "data",
    [
        npy_bytes(RAMP)[:-1],
        npy_bytes(RAMP) + b"\0",
        npy_bytes(RAMP)[:20],
        b"\x93NUMPY",
        b"\x93NUMPY\x09\x00" + npy_bytes(RAMP)[8:],
        npy_bytes(RAMP.ravel()),
        npy_bytes(np.zeros((20, 20, 4), np.float32)),
        npy_bytes(np.zeros((20, 20, 3, 1), np.float32)),
        npy_bytes(np.zeros((0, 20), np.float32)),
        npy_bytes(np.zeros((20, 20), np.int32)),
        npy_bytes(np.zeros((20, 20), np.complex64)),
        npy_bytes(np.zeros((20, 20), np.longdouble)),
        npy_bytes(np.zeros((20, 20), bool)),
        npy_bytes(np.where(RAMP > 2, np.nan, RAMP)),
        npy_bytes(np.where(RAMP > 2, -np.inf, RAMP)),
        npy_bytes(np.where(RAMP > 2, 1e300, RAMP)),
        npy_bytes(np.where(RAMP > 2, -2e9, RAMP).astype(np.float32)),
        npy_bytes(np.where(RAMP > 2, np.inf, RAMP).astype(np.float16)),
        header((10**12, 20)),
        header((-4, -5)) + bytes(80),
        header((20, 20), "|O"),
        header((20, 20), [("a", "<f4")]) + bytes(1600),
        header("[20, 20]"),
        header((True, True)) + bytes(4),
        header((10**99, 20)),
        header("(" * 500, length=1000),
        header((20, 20), length=60_000) + bytes(1600),
    ],
)
def test_refused_arrays(data: bytes) -> None:
    for read in (inspect, decode):
        with pytest.raises(ImageRefused) as caught:
            read(data, LIMITS)
        assert caught.value.code == "unsupported_image"


@pytest.mark.parametrize(
    "text",
    [
        b"(" * 900,
        b"[" * 300 + b"\n",
        b"'''{",
        b"{\0}",
        b"  {1\n :1}\n  x",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, True)}\n",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 3)}\n",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (" + b"9" * 900 + b", 3)}\n",
    ],
)
def test_damaged_headers_are_no_arrays(text: bytes) -> None:
    """Whoever reads them: those of matrices are read without what Pillow catches."""
    with pytest.raises(NotNpy) as caught:
        npy_header(io.BytesIO(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(4)))
    assert len(str(caught.value)) < 100


def test_a_pickle_is_not_loaded() -> None:
    class Hostile:
        def __reduce__(self) -> object:
            return (pytest.fail, ("it was loaded",))

    file = io.BytesIO()
    np.save(file, np.full((20, 20), Hostile()), allow_pickle=True)
    with pytest.raises(ImageRefused, match="object"):
        decode(file.getvalue(), LIMITS)


def test_sizes_are_those_of_pictures_but_for_the_least() -> None:
    """A compressed measurement may be a row of numbers."""
    assert inspect(npy_bytes(np.zeros((1, 300))), LIMITS).height == 1
    for array, code in ((np.zeros((101, 100), np.uint8), "image_too_many_pixels"), (RAMP.repeat(99), "file_too_large")):
        with pytest.raises(ImageRefused) as caught:
            inspect(npy_bytes(array), LIMITS)
        assert caught.value.code == code


def test_a_size_that_is_a_lie_takes_no_memory() -> None:
    tracemalloc.start()
    with pytest.raises(ImageRefused):
        decode(header((2**20, 2**20)), LIMITS)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()


def test_a_result_of_floats_is_a_deep_picture() -> None:
    source = decode(npy_bytes(RAMP), LIMITS)
    encoded = encode(source.rgb, source)
    assert (encoded.media_type, encoded.bit_depth, encoded.warnings) == ("image/png", 16, [])
    np.testing.assert_allclose(png_samples(encoded.data)[..., 0], RAMP.clip(0, 1) * 65535, atol=0.51)
    assert encode(source.rgb, source, keep=np.ones((37, 53), bool)).known_pixels_equal is False


@pytest.mark.parametrize("format", ["npy", "same"])
def test_arrays_are_written_as_they_are(format: str) -> None:
    source = decode(npy_bytes(RAMP), LIMITS)
    encoded = encode(source.rgb, source, format=format, keep=np.ones((37, 53), bool))
    assert (encoded.media_type, encoded.bit_depth, encoded.known_pixels_equal) == ("application/x-npy", 32, False)
    np.testing.assert_array_equal(np.load(io.BytesIO(encoded.data)), RAMP[..., None].astype("f4"))


def test_a_picture_as_an_array_has_colours_only() -> None:
    samples = noise(4, np.uint16)
    source = decode(png_file(samples), LIMITS)
    new, keep = np.full((37, 53, 3), 1.5, np.float32), np.zeros((37, 53), bool)
    keep[:9] = True
    encoded = encode(new, source, format="npy", keep=keep)
    array = np.load(io.BytesIO(encoded.data))
    assert (array.dtype, array.shape, dict(encoded.warnings).keys()) == (np.float32, (37, 53, 3), {"alpha_dropped"})
    assert encoded.known_pixels_equal
    np.testing.assert_array_equal(np.rint(array[:9] * 65535), samples[:9, :, :3])
    assert (array[9:] == 1.5).all()


def test_a_blank_like_an_array() -> None:
    source = blank(5, 7, grey=True, like=decode(npy_bytes(RAMP), LIMITS))
    values = np.linspace(-2, 2, 35, dtype=np.float32).reshape(5, 7, 1).repeat(3, 2)
    array = np.load(io.BytesIO(encode(values, source, format="same").data))
    np.testing.assert_allclose(array, values[..., :1], rtol=1e-6)


def test_arrays_may_be_masks_and_kernels() -> None:
    mask = np.zeros((4, 5))
    mask[1, 2] = 0.75
    words = {"mode": "white_unknown", "threshold": 0.5, "grow": 0, "limits": LIMITS}
    np.testing.assert_array_equal(observed_at(npy_bytes(mask), 5, 4, **words), mask == 0)
    np.testing.assert_allclose(kernel_picture(npy_bytes(np.array([[1.0, 3.0]])), LIMITS), [[0.25, 0.75]])
    for weights in ([[-1.0, 3.0]], [[0.0, 0.0]]):
        with pytest.raises(ImageRefused) as caught:
            kernel_picture(npy_bytes(np.array(weights)), LIMITS)
        assert caught.value.code == "kernel_invalid"
