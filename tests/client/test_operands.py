"""Kernels and operators to send: pictures of one's own become references."""

import base64
from pathlib import Path

import pytest

from api_schemas.images import ImageRef
from api_schemas.kernels import GaussianKernel
from api_schemas.operators import BlurOperator, ComposeOperator, DownsampleOperator
from api_schemas.requests import ApplyRequest, RestoreRequest
from client import _requests, operands


def decoded(url: str) -> bytes:
    return base64.b64decode(url.partition(",")[2])


def test_a_kernel_is_a_description_or_a_picture(tmp_path: Path):
    gaussian = {"kind": "gaussian", "width": 2.0}
    assert operands.kernel(gaussian) == operands.kernel(GaussianKernel(**gaussian)) == gaussian
    (tmp_path / "k.png").write_bytes(b"kernel")
    for picture in (tmp_path / "k.png", str(tmp_path / "k.png"), b"kernel"):
        sent = operands.kernel(picture)
        assert (sent["kind"], decoded(sent["data_url"])) == ("image", b"kernel")
    assert operands.kernel(ImageRef(file_id="f")) == {"kind": "image", "file_id": "f"}


def test_pictures_may_stand_anywhere_in_an_operator(tmp_path: Path):
    (tmp_path / "m.png").write_bytes(b"mask")
    parts = [
        {"kind": "mask", "mask": tmp_path / "m.png"},
        {"kind": "blur", "kernel": b"kernel"},
        {"kind": "downsample", "kernel": "box"},
        {"kind": "matrix", "width": 1, "height": 1, "npy": b"array"},
    ]
    given = {"kind": "compose", "operators": parts}
    mask, blur, half, matrix = operands.operator(given)["operators"]
    assert decoded(mask["mask"]["data_url"]) == b"mask"
    assert decoded(blur["kernel"]["data_url"]) == b"kernel"
    assert half == parts[2]
    assert decoded(matrix["npy"]) == b"array"
    assert parts[1] == {"kind": "blur", "kernel": b"kernel"}  # what was given stays as it was


def test_models_are_descriptions_too():
    chain = ComposeOperator(
        operators=[BlurOperator(kernel=GaussianKernel(kind="gaussian", width=1)), DownsampleOperator()]
    )
    request = _requests.create("restore", b"x", None, {"operator": operands.operator(chain)})
    sent = RestoreRequest.model_validate(request.json)  # the service's own model takes it
    assert sent.operator == chain
    assert decoded(request.json["measurement"]["data_url"]) == b"x"


def test_an_operator_alone():
    request = _requests.apply(b"x", {"kind": "grey"}, "adjoint", {"seed": 3, "noise": {"sigma": 0.1}})
    sent = ApplyRequest.model_validate(request.json)
    assert (sent.direction, sent.seed, sent.noise.sigma) == ("adjoint", 3, 0.1)
    assert (request.path, request.headers["Accept"]) == ("/v1/operators/apply", "image/*, application/x-npy")
    assert request.answer_delay_s == 60


def test_a_file_that_is_not_there():
    with pytest.raises(OSError, match="none.png"):
        operands.operator({"kind": "mask", "mask": "none.png"})
