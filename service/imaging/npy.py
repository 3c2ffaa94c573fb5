"""Arrays as pictures: `.npy` files of integers, as files of that depth, or of floating point beyond black and white.

A measurement may be anything: magnitudes, or a compressed one. On the scale of the wire 0 is black and 1 is white.
"""

import io

import numpy as np
from PIL import ImageFile

from service.arrays import NotNpy, npy_array, npy_header
from service.imaging.errors import ImageRefused

MODES = {"uint8": ("L", "RGB"), "uint16": ("I;16", "RGB;16")} | dict.fromkeys(
    ("float16", "float32", "float64"), ("F", "RGB;F")
)
"""As `ImageInfo.mode`, of one channel and of three; the kinds that are read."""
LARGEST = 1e9
"""Of the numbers of a picture: their squares, and the sums of these over any picture, are within float32."""


class NpyFile(ImageFile.ImageFile):
    """The header of an `.npy` file, in the place of a format of Pillow's; the numbers are read by `npy_samples`."""

    format = "NPY"

    def _open(self) -> None:
        """Raises NotNpy for what is no picture."""
        header = npy_header(self.fp)
        if header.dtype.name not in MODES:
            raise NotNpy(f"it holds {header.dtype.name}; there are {', '.join(MODES)}")
        if len(header.shape) not in (2, 3) or header.shape[2:] not in ((), (1,), (3,)) or min(header.shape) < 1:
            raise NotNpy(f"its shape is {header.shape}, not (height, width), with 1 or 3 channels where they are told")
        header.check_length(self.fp.seek(0, io.SEEK_END))
        self._size = header.shape[1], header.shape[0]
        self._mode = MODES[header.dtype.name][header.shape[2:] == (3,)]
        self.depth = 8 * header.dtype.itemsize


def npy_samples(data: bytes) -> np.ndarray:
    """(H, W, C) uint8, uint16 or float32, of a file that was opened.

    Raises ImageRefused for numbers that are not finite, or beyond `LARGEST`.
    """
    array = npy_array(data)
    with np.errstate(over="ignore"):  # a double that no float holds becomes infinite
        values = array.astype(np.float32 if array.dtype.kind == "f" else f"u{array.dtype.itemsize}", copy=False)
    if values.dtype.kind == "f" and not (np.abs(values) <= LARGEST).all():  # NaN is neither
        raise ImageRefused("unsupported_image", f"The NPY file holds a number that is not within +-{LARGEST:,.0f}.")
    return values if values.ndim == 3 else values[..., None]
