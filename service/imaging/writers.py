"""One writer for each format: integer samples and metadata to the bytes of a file."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

from service.arrays import npy_bytes
from service.imaging.picture import ColourModel, Metadata
from service.imaging.png16 import write_png16
from service.imaging.tiff import write_tiff

EXIF_PREFIX = b"Exif\0\0"
PILLOW_MODES = {("grey", 1): "L", ("grey", 2): "LA", ("rgb", 3): "RGB", ("rgb", 4): "RGBA", ("cmyk", 4): "CMYK"}
Writer = Callable[[np.ndarray, ColourModel, Metadata, int], bytes]


def write_png(samples: np.ndarray, model: ColourModel, metadata: Metadata, quality: int) -> bytes:
    if samples.dtype == np.uint16:
        exif = metadata.exif.removeprefix(EXIF_PREFIX) if metadata.exif else None
        return write_png16(samples, metadata.icc, exif, metadata.dpi)
    return _by_pillow("PNG", samples, model, metadata, {"compress_level": 6})


def write_jpeg(samples: np.ndarray, model: ColourModel, metadata: Metadata, quality: int) -> bytes:
    return _by_pillow("JPEG", samples, model, metadata, {"quality": quality, "subsampling": 0 if quality >= 90 else 2})


def write_webp(samples: np.ndarray, model: ColourModel, metadata: Metadata, quality: int) -> bytes:
    """Quality 100 is lossless, the colours under transparent pixels included."""
    lossless = quality == 100
    options = {"quality": 50 if lossless else quality, "lossless": lossless, "exact": True}  # effort, where lossless
    return _by_pillow("WEBP", samples, model, metadata, options)


def write_tiff_file(samples: np.ndarray, model: ColourModel, metadata: Metadata, quality: int) -> bytes:
    return write_tiff(samples, model, metadata.icc, metadata.exif, metadata.dpi)


def write_npy(samples: np.ndarray, model: ColourModel, metadata: Metadata, quality: int) -> bytes:
    return npy_bytes(samples)


WRITERS: dict[str, Writer] = {
    "PNG": write_png,
    "JPEG": write_jpeg,
    "WEBP": write_webp,
    "TIFF": write_tiff_file,
    "NPY": write_npy,
}


def _by_pillow(
    format: str, samples: np.ndarray, model: ColourModel, metadata: Metadata, options: dict[str, object]
) -> bytes:
    height, width, channels = samples.shape
    image = Image.frombuffer(PILLOW_MODES[model, channels], (width, height), samples.tobytes())
    extras = {"icc_profile": metadata.icc, "exif": metadata.exif, "dpi": metadata.dpi}
    out = io.BytesIO()
    image.save(out, format, **options, **{name: value for name, value in extras.items() if value})
    return out.getvalue()
