"""Arrays as `.npy` files. Known to the API and to workers, so without the web and without torch."""

import io
import math
import tokenize
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

MAGIC = b"\x93NUMPY"
MAX_HEADER = 1024
"""Bytes; numpy writes 128."""
READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
"""Of headers, by version; later versions name the fields of records, which nothing here takes."""
DAMAGE = (
    ValueError,
    KeyError,
    EOFError,
    SyntaxError,
    TypeError,
    RecursionError,
    OverflowError,
    MemoryError,  # of the parser: too many brackets
    tokenize.TokenError,  # numpy's second attempt, at a header as Python 2 wrote it
)
"""What numpy says of a header that it cannot read."""


class NotNpy(Exception):
    """Bytes that hold no array of real numbers; says why."""


@dataclass(frozen=True)
class Header:
    """What an `.npy` file says about itself. Nothing of this size is allocated yet."""

    shape: tuple[int, ...]
    dtype: np.dtype
    offset: int
    """Bytes before the numbers."""

    def check_length(self, length: int) -> None:
        """Whether a file of `length` bytes holds what it says. Raises NotNpy."""
        if length - self.offset != math.prod(self.shape) * self.dtype.itemsize:
            raise NotNpy("it is shorter or longer than it says")


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def npy_header(file: BinaryIO) -> Header:
    """The header of a file from anywhere; no number is read. Raises NotNpy, also for objects and other than numbers."""
    try:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = READERS[version](file, max_header_size=MAX_HEADER)
    except DAMAGE:
        raise NotNpy("this is no `.npy` file") from None
    if any(type(side) is bool or not 0 <= side < 2**63 for side in shape):  # True is an int to numpy's check
        raise NotNpy("its shape is not of whole numbers below 2^63")
    if dtype.kind not in "fiu" or dtype.hasobject:
        raise NotNpy(f"it holds {dtype}, not real numbers")
    return Header(shape, dtype, file.tell())


def npy_array(data: bytes) -> np.ndarray:
    """Of a file that we wrote or have looked into: the size that its header names is allocated."""
    return np.load(io.BytesIO(data), allow_pickle=False)
