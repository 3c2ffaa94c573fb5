"""The samples of an opened file, at full depth.

Pillow holds colour at 8 bits a channel and drops the low bytes of 16-bit colour files while it unpacks them. Its
decoders still produce both bytes, and which one is kept is named by the `rawmode` of the tile descriptor. So 16-bit
colour is read in two passes, one for each byte: all compressions, filters, interlacing and tilings that Pillow reads,
at its speed, without another library.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import ImageFile
from PIL.PngImagePlugin import PngImageFile

from service.imaging.deep_tiff import DeepTiffFile
from service.imaging.errors import ImageRefused
from service.imaging.npy import NpyFile, npy_samples

PNG_GREY, PNG_GREY_ALPHA = 0, 4
OTHER_ORDER = {"B": "L", "L": "B"}


@dataclass(frozen=True)
class Samples:
    """What a file holds, before the EXIF turn."""

    values: np.ndarray
    """(H, W, C) uint8, uint16 or float32, as `Picture.native`."""
    mode: str
    """As `ImageInfo.mode`."""
    bit_depth: int
    has_alpha: bool


def read_samples(image: ImageFile.ImageFile, data: bytes) -> Samples:
    """Decodes everything. Raises ImageRefused for kinds that are not read, and whatever Pillow raises for damage."""
    if isinstance(image, NpyFile):
        return Samples(npy_samples(data), image.mode, image.depth, False)
    if deep := _deep_mode(image, data):
        return _read_deep(image, data, deep)
    transparency = image.info.get("transparency")
    image.load()
    mode = image.mode
    if mode in ("P", "PA"):
        has_alpha = mode == "PA" or transparency is not None or image.palette.mode == "RGBA"
        return Samples(np.asarray(image.convert("RGBA" if has_alpha else "RGB")), mode, 8, has_alpha)
    if mode == "1":
        values = np.asarray(image).astype(np.uint8)[..., None] * np.uint8(255)
        return _with_colour_key(Samples(values, mode, 1, False), transparency)
    if mode in ("L", "RGB", "CMYK"):
        values = np.asarray(image)
        values = values if values.ndim == 3 else values[..., None]
        return _with_colour_key(Samples(values, mode, 8, False), _scaled_key(transparency, data, mode))
    if mode in ("LA", "RGBA"):
        return Samples(np.asarray(image), mode, 8, True)
    if mode == "RGBX":
        return Samples(np.asarray(image)[..., :3], "RGB", 8, False)
    if mode.startswith("I;16"):
        return _read_deep_grey(image, mode, transparency)
    raise ImageRefused(
        "unsupported_image",
        f"The {image.format} file holds {mode} samples; 1, 8 and 16 bit grey, RGB, palette and CMYK are read, "
        "floating point, 32-bit and Lab are not.",
    )


def _read_deep_grey(image: ImageFile.ImageFile, mode: str, transparency: int | None) -> Samples:
    values = np.asarray(image).astype(np.uint16)[..., None]
    if isinstance(image, DeepTiffFile):
        if image.layout.bits != 16:
            raise ImageRefused("unsupported_image", "12-bit TIFF files are not read; save it with 8 or 16 bits.")
        if image.layout.white_is_zero:
            values = np.uint16(65535) - values
    return _with_colour_key(Samples(values, "I;16", 16, False), transparency)


def _with_colour_key(samples: Samples, key: int | tuple[int, ...] | None) -> Samples:
    """Turns one colour that a PNG or GIF declares transparent into an alpha channel."""
    if key is None or isinstance(key, bytes):
        return samples
    white = np.iinfo(samples.values.dtype).max
    clear = (samples.values == np.asarray(key)).all(axis=2, keepdims=True)
    alpha = np.where(clear, 0, white).astype(samples.values.dtype)
    return Samples(np.concatenate([samples.values, alpha], axis=2), samples.mode, samples.bit_depth, True)


def _scaled_key(key: int | tuple[int, ...] | None, data: bytes, mode: str) -> int | tuple[int, ...] | None:
    """The colour key of a 2 or 4 bit grey PNG counts in the file's own steps, while Pillow's samples are 8 bit."""
    if key is None or mode != "L" or not data.startswith(b"\x89PNG"):
        return key
    bits = data[24]
    return key * 255 // (2**bits - 1) if bits < 8 else key


def _deep_mode(image: ImageFile.ImageFile, data: bytes) -> str | None:
    """RGB;16, RGBA;16, LA;16 or CMYK;16 where the file has 16-bit colour, else None."""
    if isinstance(image, PngImageFile):
        depth, kind = data[24], data[25]
        if depth != 16 or kind == PNG_GREY:
            return None
        return "LA;16" if kind == PNG_GREY_ALPHA else f"{image.mode};16"
    if not isinstance(image, DeepTiffFile):
        return None
    deep = image.layout.bits == 16 and image.mode in ("RGB", "RGBA", "CMYK")
    if image.layout.separate and (deep or image.mode == "LA"):  # which Pillow would read wrongly, without a word
        raise ImageRefused(
            "unsupported_image",
            "TIFF files with separate planes are read as 8-bit RGB, RGBA and CMYK only; save it interleaved.",
        )
    if not deep:
        return None
    return "LA;16" if image.layout.grey_alpha16 else f"{image.mode};16"


def _read_deep(image: ImageFile.ImageFile, data: bytes, mode: str) -> Samples:
    layout = image.layout if isinstance(image, DeepTiffFile) else None
    key = image.info.get("transparency")
    if mode == "LA;16":  # four bytes a pixel, so one pass as if they were 8-bit RGBA
        octets = _load_as(image, "RGBA").astype(np.uint16)
        high, low = (1, 0) if layout and layout.byteorder == "little" else (0, 1)
        values = octets[..., high::2] << 8 | octets[..., low::2]
        if layout and layout.white_is_zero:
            values[..., 0] = 65535 - values[..., 0]
    else:
        order = "L" if layout and layout.byteorder == "little" else "B"
        chosen = image.tile[0].args if layout is None else image.tile[0].args[0]
        packing = chosen.replace("RGBa", "RGBA")[: -len("16B")]
        values = _load_as(image, f"{packing}16{order}").astype(np.uint16) << 8
        values |= _load_as(type(image)(io.BytesIO(data)), f"{packing}16{OTHER_ORDER[order]}")
    if layout and layout.premultiplied:
        values = _unmultiplied(values)
    return _with_colour_key(Samples(values, mode, 16, mode in ("LA;16", "RGBA;16")), key)


def _load_as(image: ImageFile.ImageFile, rawmode: str) -> np.ndarray:
    """Decodes with another unpacker than the plugin chose."""
    image.tile = [
        tile._replace(args=rawmode if isinstance(tile.args, str) else (rawmode, *tile.args[1:])) for tile in image.tile
    ]
    image.load()
    return np.asarray(image)


def _unmultiplied(values: np.ndarray) -> np.ndarray:
    """Straight colours of (H, W, C) uint16 samples that were multiplied by their alpha, the last channel."""
    alpha = np.maximum(values[..., -1:], 1).astype(np.float64)
    colours = np.minimum(np.floor(values[..., :-1] * (65535 / alpha) + 0.5), 65535)
    return np.concatenate([colours.astype(np.uint16), values[..., -1:]], axis=2)
