"""TIFF with 8 or 16 bits a channel: deflated strips with horizontal differences (TIFF 6.0 and its supplement 2).

Pillow writes the directory; the strips are ours, because Pillow has no 16-bit colour.
"""

import io
import zlib

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD
from PIL.TiffImagePlugin import ImageFileDirectory_v2
from PIL.TiffTags import LONG, UNDEFINED

PHOTOMETRIC = {"grey": 1, "rgb": 2, "cmyk": 5}
STRIP_BYTES = 1 << 20
(WIDTH, HEIGHT, BITS, COMPRESSION, INTERPRETATION, OFFSETS, CHANNELS) = (256, 257, 258, 259, 262, 273, 277)
(ROWS, COUNTS, X_RESOLUTION, Y_RESOLUTION, UNIT, PREDICTOR, EXTRA) = (278, 279, 282, 283, 296, 317, 338)
ICC_PROFILE = 34675
DEFLATE, HORIZONTAL, INCH, STRAIGHT_ALPHA = 8, 2, 2, 2


def write_tiff(
    samples: np.ndarray, model: str, icc: bytes | None, exif: bytes | None, dpi: tuple[float, float] | None
) -> bytes:
    """The file of (H, W, C) uint8 or uint16 `samples`; `model` is grey, rgb or cmyk, and one more channel is alpha."""
    height, width, channels = samples.shape
    rows = max(1, STRIP_BYTES // (width * channels * samples.itemsize))
    strips = [_strip(samples[top : top + rows]) for top in range(0, height, rows)]
    ifd = _described(exif)
    ifd.update({WIDTH: width, HEIGHT: height, CHANNELS: channels, ROWS: rows})
    ifd.update({COMPRESSION: DEFLATE, PREDICTOR: HORIZONTAL, INTERPRETATION: PHOTOMETRIC[model]})
    ifd[BITS] = (8 * samples.itemsize,) * channels
    if channels in (2, 5) or (model == "rgb" and channels == 4):
        ifd[EXTRA] = STRAIGHT_ALPHA
    if dpi:
        ifd.update({X_RESOLUTION: dpi[0], Y_RESOLUTION: dpi[1], UNIT: INCH})
    if icc:
        ifd.tagtype[ICC_PROFILE] = UNDEFINED
        ifd[ICC_PROFILE] = icc
    sizes = [len(strip) for strip in strips]
    ifd.tagtype[OFFSETS] = ifd.tagtype[COUNTS] = LONG
    ifd[OFFSETS] = tuple(sum(sizes[:index]) for index in range(len(sizes)))
    ifd[COUNTS] = tuple(sizes)
    out = io.BytesIO()
    ifd.save(out)  # which moves the offsets behind the directory
    out.writelines(strips)
    return out.getvalue()


def _strip(rows: np.ndarray) -> bytes:
    differences = rows.astype(rows.dtype.newbyteorder("<"))
    differences[:, 1:] -= rows[:, :-1]
    return zlib.compress(differences.tobytes())


def _described(exif: bytes | None) -> ImageFileDirectory_v2:
    """A little-endian directory that holds what the EXIF block says of the picture."""
    ifd = ImageFileDirectory_v2(prefix=b"II")
    if exif:
        block = Image.Exif()
        block.load(exif)
        for tag in block:
            ifd[tag] = block.get_ifd(tag) if tag in (IFD.Exif, IFD.GPSInfo) else block[tag]
    return ifd
