"""Dense matrices from the wire: `rows` of numbers, or an `.npy` file, whose header is read before its numbers."""

import io
import math

import numpy as np

from api_schemas.operators import MAX_MATRIX
from service.arrays import npy_array
from service.intake import decode_data_url
from service.problems import Refused, wrong_field
from service.queue.base import Json

MAX_HEADER = 1024
"""Bytes; numpy writes 128."""


def matrix_of(part: Json, shape: tuple[int, int], field: str) -> np.ndarray:
    """(m, n) float32, the matrix of an operator of the wire.

    Raises `operator_invalid` for what is no matrix of finite numbers, `operator_shape_mismatch` for another shape.
    """
    if math.prod(shape) > MAX_MATRIX:
        detail = f"{shape[0]:,} x {shape[1]:,} numbers; a matrix has at most {MAX_MATRIX:,}"
        raise wrong_field(f"/{field}", "too_large", detail, problem_code="operator_invalid")
    if part["rows"] is not None:
        found = len(part["rows"]), {len(row) for row in part["rows"]}
        if found != (shape[0], {shape[1]}):
            raise of_another_shape(f"/{field}/rows", f"{found[0]} rows of {sorted(found[1])[:3]} numbers", shape)
        matrix = np.asarray(part["rows"], dtype=np.float32)
    else:
        matrix = read_npy(decode_data_url(part["npy"], f"{field}/npy"), shape, f"/{field}/npy")
    if not np.isfinite(matrix).all():
        raise wrong_field(f"/{field}", "finite_number", "a number is not finite", problem_code="operator_invalid")
    return matrix


def read_npy(data: bytes, shape: tuple[int, int], pointer: str) -> np.ndarray:
    """The array of an `.npy` file of this shape; no pickle, and no more memory than the file and the array take."""
    file = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        found, _, kind = read_header[version](file, max_header_size=MAX_HEADER)
    except (ValueError, KeyError, EOFError, SyntaxError, TypeError, RecursionError, OverflowError):
        raise wrong_field(pointer, "npy", "this is no `.npy` file", problem_code="operator_invalid") from None
    if kind.kind not in "fiu" or kind.hasobject:
        raise wrong_field(pointer, "npy", f"it holds {kind}, not real numbers", problem_code="operator_invalid")
    if found != shape:
        raise of_another_shape(pointer, f"an array of shape {found}", shape)
    if len(data) - file.tell() != math.prod(shape) * kind.itemsize:
        raise wrong_field(pointer, "npy", "it is shorter or longer than it says", problem_code="operator_invalid")
    return npy_array(data).astype(np.float32)


def of_another_shape(pointer: str, found: str, shape: tuple[int, int]) -> Refused:
    detail = f"{found}; the sizes make it {shape[0]} x {shape[1]}"
    return wrong_field(pointer, "shape", detail, problem_code="operator_shape_mismatch")
