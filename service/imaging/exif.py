"""EXIF: which way up the picture is, and what of the block is written back."""

import struct

import numpy as np
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.TiffImagePlugin import TiffImageFile

PIXEL_X_DIMENSION, PIXEL_Y_DIMENSION = 0xA002, 0xA003
UNREADABLE = (SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, OSError, EOFError, struct.error)
"""What Pillow raises for a damaged block, depending on where the damage is."""
DESCRIPTIVE = (
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.HostComputer,
    Base.Copyright,
)
"""What of a TIFF file's own directory describes the picture; the rest describes the file."""


def turn(samples: np.ndarray, orientation: int) -> np.ndarray:
    """The (H, W, C) samples as a person should see them; EXIF 2.32, tag 0x0112, 1 to 8. A view."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def orientation_of(exif: Image.Exif) -> int:
    """1 to 8; 1 where the tag is missing or nonsense."""
    value = exif.get(Base.Orientation, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def upright_block(image: Image.Image, exif: Image.Exif, width: int, height: int) -> bytes | None:
    """The EXIF block of the upright picture: Orientation 1, these dimensions, no thumbnail; None if empty."""
    upright = Image.Exif()
    for tag in DESCRIPTIVE if isinstance(image, TiffImageFile) else list(exif):
        if tag in exif and tag not in (IFD.Exif, IFD.GPSInfo):
            upright[tag] = exif[tag]
    for group in (IFD.Exif, IFD.GPSInfo):
        if entries := dict(exif.get_ifd(group)):
            upright.get_ifd(group).update(entries)
    if not len(upright) and not any(upright.get_ifd(group) for group in (IFD.Exif, IFD.GPSInfo)):
        return None
    upright[Base.Orientation] = 1
    return _with_size(upright, width, height)


def resized_block(block: bytes, width: int, height: int) -> bytes:
    """The same block for a picture of another size."""
    exif = Image.Exif()
    exif.load(block)
    exif.get_ifd(IFD.Exif)
    exif.get_ifd(IFD.GPSInfo)
    return _with_size(exif, width, height)


def _with_size(exif: Image.Exif, width: int, height: int) -> bytes:
    details = exif.get_ifd(IFD.Exif)
    if PIXEL_X_DIMENSION in details or PIXEL_Y_DIMENSION in details:
        details.update({PIXEL_X_DIMENSION: width, PIXEL_Y_DIMENSION: height})
    return exif.tobytes()
