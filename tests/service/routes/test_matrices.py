"""Matrices: what is accepted, where it is kept, every refusal."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest

from service.storage import input_key
from tests.service.api import Api, assert_problem, png
from tests.service.routes.asking import data_url, npy, restore


@pytest.mark.parametrize("form", ["rows", "npy", "file"])
def test_a_matrix_is_kept_apart_from_the_request(idle: Api, form: str) -> None:
    matrix = np.random.default_rng(0).random((256, 64), dtype=np.float32)
    operator = {"kind": "matrix", "width": 8, "height": 8, "output_width": 16, "output_height": 16}
    if form == "file":
        files = {"measurement": ("a", png(16, 16)), "matrix": ("m.npy", base64.b64decode(npy(matrix).split(",")[1]))}
        response = idle.http.post("/v1/restore", files=files, data={"operator": json.dumps(operator)})
    else:
        operator |= {"rows": matrix.tolist()} if form == "rows" else {"npy": npy(matrix)}
        response = restore(idle, operator, measurement={"file_id": idle.send(png(16, 16))})
    assert response.status_code == 202, response.text
    kept = response.json()["request"]["operator"]
    assert "rows" not in kept and "npy" not in kept
    stored = np.load(io.BytesIO(idle.context.files.storage.get(input_key(kept["sha256"]))))
    np.testing.assert_array_equal(stored, matrix)


ENTRIES = [[0, 1, 0.5], [255, 63, -2.0], [0, 1, 0.25]]


@pytest.mark.parametrize("form", ["entries", "npy", "file"])
def test_a_sparse_matrix_is_kept_as_its_entries(idle: Api, form: str) -> None:
    operator = {"kind": "matrix", "width": 8, "height": 8, "output_width": 16, "output_height": 16}
    array = np.array(ENTRIES)
    if form == "file":
        files = {"measurement": ("a", png(16, 16)), "matrix": ("m.npy", base64.b64decode(npy(array).split(",")[1]))}
        fields = {"operator": json.dumps(operator | {"sparse": True})}
        response = idle.http.post("/v1/restore", files=files, data=fields)
    else:
        operator |= {"entries": ENTRIES} if form == "entries" else {"npy": npy(array), "sparse": True}
        response = restore(idle, operator, measurement={"file_id": idle.send(png(16, 16))})
    assert response.status_code == 202, response.text
    kept = response.json()["request"]["operator"]
    assert kept["sparse"] and "entries" not in kept and "npy" not in kept
    stored = np.load(io.BytesIO(idle.context.files.storage.get(input_key(kept["sha256"]))))
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, array)


def test_a_sparse_matrix_may_be_large(idle: Api) -> None:
    """As a dense one it would have 2^40 numbers."""
    large = {"kind": "matrix", "width": 1024, "height": 1024, "entries": [[2**20 - 1, 2**20 - 1, 1.0]]}
    assert restore(idle, large, measurement={"file_id": idle.send(png(1024, 1024))}).status_code == 202


class Hostile:
    def __reduce__(self) -> Any:
        raise AssertionError("it was pickled")


@pytest.mark.parametrize(
    ("given", "code", "pointer"),
    [
        ({"rows": [[1.0] * 1024] * 767 + [[1.0]]}, "operator_shape_mismatch", "/operator/rows"),
        ({"rows": [[]]}, "operator_shape_mismatch", "/operator/rows"),
        ({"rows": [[float("nan")]]}, "operator_invalid", "/operator/rows/0/0"),
        ({"npy": "x"}, "validation_failed", "/operator/npy"),
        ({"npy": data_url(b"junk")}, "operator_invalid", "/operator/npy"),
        ({"npy": npy(np.array([None]), allow_pickle=True)}, "operator_invalid", "/operator/npy"),
        ({"npy": npy(np.ones((3, 3)))}, "operator_shape_mismatch", "/operator/npy"),
        ({"npy": npy(np.full((768, 1024), np.inf, np.float32))}, "operator_invalid", "/operator"),
        ({"npy": npy(np.ones((768, 1024), np.float32))[:-400]}, "operator_invalid", "/operator/npy"),
        ({"width": 4096, "height": 4096, "rows": [[1.0]]}, "operator_invalid", "/operator"),
        ({}, "operator_invalid", "/operator"),
        ({"rows": [[0.0] * 1024] * 768}, "operator_invalid", "/operator"),
        ({"entries": [[0, 0, 1.0], [768, 0, 1.0]]}, "operator_shape_mismatch", "/operator/entries"),
        ({"entries": [[0, 1024, 1.0]]}, "operator_shape_mismatch", "/operator/entries"),
        ({"entries": [[0, -1, 1.0]]}, "operator_invalid", "/operator/entries/0/1"),
        ({"entries": [[0, 1.5, 1.0]]}, "operator_invalid", "/operator/entries/0/1"),
        ({"entries": [[0, 0, float("inf")]]}, "operator_invalid", "/operator/entries/0/2"),
        ({"entries": [[0, 0, 1e39]]}, "operator_invalid", "/operator"),
        ({"entries": [[0, 0, 0.0]]}, "operator_invalid", "/operator"),
        ({"entries": [[0, 0, 1.0], [0, 0, -1.0]]}, "operator_invalid", "/operator"),
        ({"entries": [[0, 0, 3e38], [0, 0, 3e38]]}, "operator_invalid", "/operator"),
        ({"entries": [[0, 0]]}, "operator_invalid", "/operator/entries/0/2"),
        ({"entries": []}, "operator_invalid", "/operator/entries"),
        ({"entries": [[0, 0, 1.0]], "rows": [[1.0]]}, "operator_invalid", "/operator"),
        ({"rows": [[1.0]], "sparse": True}, "operator_invalid", "/operator"),
        ({"npy": npy(np.ones((768, 1024), np.float32)), "sparse": True}, "operator_invalid", "/operator/npy"),
        ({"npy": npy(np.ones((0, 3))), "sparse": True}, "operator_invalid", "/operator/npy"),
        ({"npy": npy(np.ones((2, 3)))[:-8], "sparse": True}, "operator_invalid", "/operator/npy"),
        ({"npy": npy(np.array([[0, 0.5, 1]])), "sparse": True}, "operator_shape_mismatch", "/operator/npy"),
        ({"npy": npy(np.array([[0, np.nan, 1]])), "sparse": True}, "operator_shape_mismatch", "/operator/npy"),
        ({"npy": npy(np.array([[0, 0, np.nan]])), "sparse": True}, "operator_invalid", "/operator"),
    ],
)
def test_refused_matrices(idle: Api, given: dict[str, Any], code: str, pointer: str) -> None:
    operator = {"kind": "matrix", "width": 32, "height": 32, "output_width": 32, "output_height": 24} | given
    assert_problem(restore(idle, operator), code, pointer)


def test_a_header_of_npy_that_lies_costs_no_memory(idle: Api) -> None:
    """It announces a terabyte."""
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (524288, 524288), }".ljust(117) + b"\n"
    data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    operator = {"kind": "matrix", "width": 32, "height": 24, "npy": data_url(data)}
    assert_problem(restore(idle, operator), "operator_shape_mismatch", "/operator/npy")
