"""From bytes to an opened Pillow image, with every guard in front of the decoder.

Pillow's plugins are called directly: `Image.open` would try every format that it knows (EPS, PSD and others) and would
compare the size with a limit that is global to the process; here each call brings its own.
"""

import io
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from PIL import ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import jpeg_factory
from PIL.PngImagePlugin import PngImageFile
from PIL.WebPImagePlugin import WebPImageFile

from service.arrays import MAGIC
from service.imaging.deep_tiff import DeepTiffFile
from service.imaging.errors import ImageRefused
from service.imaging.limits import ImageLimits
from service.imaging.npy import NpyFile

MEDIA_TYPES = {
    "PNG": "image/png",
    "JPEG": "image/jpeg",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "GIF": "image/gif",
    "BMP": "image/bmp",
    "NPY": "application/x-npy",
}
PLUGINS: dict[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "PNG": PngImageFile,
    "JPEG": jpeg_factory,  # also multi-picture files of phones, which it opens as MPO
    "WEBP": WebPImageFile,
    "TIFF": DeepTiffFile,
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "NPY": NpyFile,
}
READABLE = "PNG, JPEG, WebP, TIFF, GIF, BMP and arrays in `.npy` files"
NEW_SUBFILE_TYPE = 254
MAX_TIFF_THUMBNAILS = 8


def sniff_format(data: bytes) -> str | None:
    """The format that the first bytes announce, as a key of `MEDIA_TYPES`, or None."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        return "TIFF"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"BM"):
        return "BMP"
    if data.startswith(MAGIC):
        return "NPY"
    return None


def sniff_media_type(data: bytes) -> str | None:
    """The media type that the first bytes announce, or None where it is no image that this service reads."""
    found = sniff_format(data)
    return MEDIA_TYPES[found] if found else None


@contextmanager
def refusing_damage(what: str) -> Iterator[None]:
    """Turns whatever a decoder says of damaged bytes into `unsupported_image`."""
    try:
        yield
    except (ImageRefused, MemoryError):
        raise
    # Pillow's plugins answer damage with more than a dozen exception types (SyntaxError, struct.error, KeyError,
    # AssertionError, ...), and which ones changes from release to release; all of them mean "not readable".
    except Exception as error:  # noqa: BLE001
        reason = str(error) or type(error).__name__
        raise ImageRefused("unsupported_image", f"{what}: {reason[:200]}.") from error


def open_image(data: bytes, limits: ImageLimits) -> ImageFile.ImageFile:
    """Opens the header; no pixel is decoded and nothing of the picture's size is allocated.

    Raises ImageRefused: `file_too_large`, `unsupported_image`, `image_too_small`, `image_too_many_pixels`.
    """
    limits.check_bytes(data)
    if not data:
        raise ImageRefused("unsupported_image", "The file is empty (0 bytes).")
    found = sniff_format(data)
    if found is None:
        raise ImageRefused("unsupported_image", f"The file is not an image that this service reads ({READABLE}).")
    if found == "WEBP":
        _check_webp_canvas(data, limits)
    with refusing_damage(f"The {found} file is damaged or of a kind that is not read"):
        image = PLUGINS[found](io.BytesIO(data))
    # An array may be a measurement, of a row of numbers say: what is restored of it has the size that counts.
    (replace(limits, min_side=1) if found == "NPY" else limits).check_size(*image.size)
    with refusing_damage(f"The {found} file is damaged"):
        _refuse_several_pictures(image)
    return image


def _check_webp_canvas(data: bytes, limits: ImageLimits) -> None:
    """The size in the header (RFC 9649, section 2): the library allocates the whole canvas as it opens a file."""
    chunk, head = data[12:16], data[:30]
    if len(head) < (25 if chunk == b"VP8L" else 30):
        return
    if chunk == b"VP8X":
        limits.check_size(
            int.from_bytes(head[24:27], "little") + 1,
            int.from_bytes(head[27:30], "little") + 1,
        )
    elif chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", head, 26)
        limits.check_size(width & 0x3FFF, height & 0x3FFF)
    elif chunk == b"VP8L":
        bits = struct.unpack_from("<I", head, 21)[0]
        limits.check_size((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1)


def _refuse_several_pictures(image: ImageFile.ImageFile) -> None:
    """Animations and documents have no single answer. Thumbnail pages and the side pictures of phones do not count."""
    if isinstance(image, DeepTiffFile):
        for page in range(1, MAX_TIFF_THUMBNAILS + 2):
            try:
                image.seek(page)
            except EOFError:
                image.seek(0)
                return
            reduced = image.tag_v2.get(NEW_SUBFILE_TYPE, 0) & 1
            if not reduced or page > MAX_TIFF_THUMBNAILS:
                raise ImageRefused("unsupported_image", "The TIFF file has several pages; send each as its own file.")
    elif image.format != "MPO" and getattr(image, "is_animated", False):
        raise ImageRefused("unsupported_image", f"The {image.format} file is animated; send a single picture.")
