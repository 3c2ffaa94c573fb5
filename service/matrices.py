"""Matrices from the wire: `rows` of numbers or sparse `entries`, or an `.npy` file of either.

The header of a file is read before its numbers.
"""

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from api_schemas.operators import MAX_MATRIX
from service.arrays import NotNpy, npy_array, npy_header
from service.intake import decode_data_url
from service.problems import Refused, wrong_field
from service.queue.base import Json


def matrix_of(part: Json, shape: tuple[int, int], field: str) -> np.ndarray:
    """The matrix (m, n) of an operator of the wire: itself, or where it is sparse (k, 3) of row, column and value.

    float32, which holds every index below 2^24, of 4096 x 4096 pixels, exactly. Raises `operator_invalid` for what is
    no matrix of finite numbers, or zero; `operator_shape_mismatch` for another shape and for entries outside of it.
    """
    is_sparse = part["sparse"] or part["entries"] is not None
    matrix = sparse(part, shape, field) if is_sparse else dense(part, shape, field)
    values = summed(matrix) if is_sparse else matrix
    if not np.isfinite(values).all():
        raise wrong_field(f"/{field}", "finite_number", "a number is not finite", problem_code="operator_invalid")
    if not values.any():
        raise wrong_field(f"/{field}", "zero", "all of its numbers are zero", problem_code="operator_invalid")
    return matrix


def dense(part: Json, shape: tuple[int, int], field: str) -> np.ndarray:
    if math.prod(shape) > MAX_MATRIX:
        detail = f"{shape[0]:,} x {shape[1]:,} numbers; a matrix has at most {MAX_MATRIX:,}"
        raise wrong_field(f"/{field}", "too_large", detail, problem_code="operator_invalid")
    if part["rows"] is not None:
        found = len(part["rows"]), {len(row) for row in part["rows"]}
        if found != (shape[0], {shape[1]}):
            raise of_another_shape(f"/{field}/rows", f"{found[0]} rows of {sorted(found[1])[:3]} numbers", shape)
        return as_float32(np.asarray(part["rows"]))
    pointer, data = f"/{field}/npy", decode_data_url(part["npy"], f"{field}/npy")
    with refusing(pointer):
        header = npy_header(io.BytesIO(data))
        if header.shape != shape:
            raise of_another_shape(pointer, f"an array of shape {header.shape}", shape)
        header.check_length(len(data))
    return as_float32(npy_array(data))


def sparse(part: Json, shape: tuple[int, int], field: str) -> np.ndarray:
    """(k, 3); the entries are inside of `shape`."""
    if part["entries"] is not None:
        pointer, entries = f"/{field}/entries", np.asarray(part["entries"], dtype=np.float64)
    else:
        pointer, data = f"/{field}/npy", decode_data_url(part["npy"], f"{field}/npy")
        with refusing(pointer):
            header = npy_header(io.BytesIO(data))
            if header.shape[1:] != (3,) or not 1 <= header.shape[0] <= MAX_MATRIX:
                raise NotNpy(f"its shape is {header.shape}, not (entries, 3) with at most {MAX_MATRIX:,} entries")
            header.check_length(len(data))
        entries = npy_array(data)
    index = entries[:, :2]
    inside = (index >= 0) & (index < shape) & (index == np.floor(index))
    if not inside.all():
        row, column = index[np.argmin(inside.all(axis=1))]
        raise of_another_shape(pointer, f"an entry at row {row:g}, column {column:g}, both counted from 0", shape)
    return as_float32(entries)


def summed(entries: np.ndarray) -> np.ndarray:
    """The numbers of a sparse matrix, (k, 3) to (places,): entries at the same place add up."""
    places = entries[:, 0].astype(np.int64) * 2**24 + entries[:, 1].astype(np.int64)
    _, place = np.unique(places, return_inverse=True)
    return as_float32(np.bincount(place, weights=entries[:, 2]))


@contextmanager
def refusing(pointer: str) -> Iterator[None]:
    """What is no array is refused with the name of its field."""
    try:
        yield
    except NotNpy as error:
        raise wrong_field(pointer, "npy", str(error), problem_code="operator_invalid") from None


def as_float32(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # what no float holds becomes infinite, and is refused
        return numbers.astype(np.float32)


def of_another_shape(pointer: str, found: str, shape: tuple[int, int]) -> Refused:
    detail = f"{found}; the sizes make it {shape[0]} x {shape[1]}"
    return wrong_field(pointer, "shape", detail, problem_code="operator_shape_mismatch")
