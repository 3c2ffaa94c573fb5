"""Arrays as `.npy` files. Known to the API and to workers, so without the web and without torch."""

import io

import numpy as np


def npy_bytes(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def npy_array(data: bytes) -> np.ndarray:
    """Of a file that we wrote or have looked into: the size that its header names is allocated."""
    return np.load(io.BytesIO(data), allow_pickle=False)
