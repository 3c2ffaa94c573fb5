"""`client._requests`: what goes over the wire, without a wire."""

import base64
import io
import json

import pytest

from api_schemas.images import ImageRef, NoiseLevel, OutputOptions
from api_schemas.requests import REQUESTS
from api_schemas.solvers import RedDiffParams
from client import _requests


def test_local_pictures_go_as_a_form_with_nested_options_as_json():
    options = {"seed": 5, "noise": NoiseLevel(sigma=0.1), "params": {"steps": 3}, "metadata": {"a": "b"}, "prior": "x"}
    request = _requests.create("inpaint", b"image", io.BytesIO(b"mask"), options)
    assert (request.method, request.path) == ("POST", "/v1/inpaint")
    assert [(name, file.content) for name, file in request.files] == [("image", b"image"), ("mask", b"mask")]
    assert request.form["seed"] == "5"
    assert request.form["prior"] == "x"
    assert json.loads(request.form["noise"]) == {"sigma": 0.1}
    assert json.loads(request.form["params"]) == {"steps": 3}


def test_a_stored_picture_makes_json_and_the_local_mask_a_data_url():
    request = _requests.create("inpaint", ImageRef(file_id="f1"), b"mask", {"output": OutputOptions(format="tiff")})
    assert request.form is None
    assert request.json["image"] == {"file_id": "f1"}
    assert base64.b64decode(request.json["mask"]["data_url"].split(",")[1]) == b"mask"
    REQUESTS["inpaint"].model_validate(request.json)  # the service's own model takes it


def test_what_is_none_is_left_to_the_service():
    form = _requests.create("denoise", b"x", None, {"seed": None, "noise": "auto"}).form
    assert form == {"noise": "auto"}


def test_models_send_what_was_set_in_them():
    form = _requests.create("denoise", b"x", None, {"params": RedDiffParams(steps=7)}).form
    assert json.loads(form["params"]) == {"steps": 7}


def test_not_a_number_never_leaves():
    with pytest.raises(ValueError):
        _requests.create("denoise", b"x", None, {"deadline_s": float("nan")})


def test_each_create_has_a_key_of_its_own_unless_one_is_given():
    keys = [_requests.create("denoise", b"x", None, {}).headers["Idempotency-Key"] for _ in range(2)]
    assert keys[0] != keys[1]
    assert _requests.create("denoise", b"x", None, {}, idempotency_key="mine").headers["Idempotency-Key"] == "mine"


def test_waiting_is_asked_for_and_waited_for():
    request = _requests.create("denoise", b"x", None, {}, wait_s=30)
    assert request.headers["Prefer"] == "wait=30"
    assert request.answer_delay_s == 30
    assert _requests.job("j", 20).params == {"wait": "20.000"}


def test_an_id_cannot_leave_its_place_in_the_path():
    assert _requests.job("../files?x=1").path == "/v1/jobs/..%2Ffiles%3Fx%3D1"
    assert _requests.artifact("j", "a/b").path == "/v1/jobs/j/artifacts/a%2Fb"


def test_a_batch_needs_a_mask_for_each_image_or_none():
    with pytest.raises(ValueError):
        _requests.batch("inpaint", [FILE, FILE], [FILE], ["a", "b"], {})


def test_a_batch_names_its_items_and_keeps_the_priority_outside_the_defaults():
    body = _requests.batch("denoise", [FILE], None, ["a.png"], {"priority": "low", "seed": 1}).json
    assert body["priority"] == "low"
    assert body["defaults"] == {"seed": 1}
    assert body["items"] == [{"image": {"file_id": "f1"}, "client_ref": "a.png"}]


FILE = _requests.FileInfo(
    id="f1", sha256="0" * 64, width=1, height=1, mode="L", format="PNG", bit_depth=8,
    has_alpha=False, has_icc=False, bytes=1, created_at="", expires_at="",
)  # fmt: skip
