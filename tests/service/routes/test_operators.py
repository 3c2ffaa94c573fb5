"""Any operator: what is accepted, what it becomes, every refusal."""

import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.storage import input_key
from tests.service.api import Api, MakeApi, assert_problem, encoded, hole, png
from tests.service.routes.asking import BLUR, HALF, KERNELS, data_url, grey_png, npy, post, restore


def test_a_chain_becomes_a_resolved_job(idle: Api) -> None:
    job = restore(idle, BLUR, HALF, {"kind": "jpeg", "quality": 30}, noise={"sigma": 0.01}).json()
    assert (job["task"], job["request"]["image"]["width"]) == ("restore", 32)
    kinds = [part["kind"] for part in job["request"]["operator"]["operators"]]
    assert kinds == ["blur", "downsample", "jpeg"]
    assert job["request"]["operator"]["operators"][1]["kernel"] == "bicubic"


def test_a_mask_fits_the_picture_at_its_place(idle: Api) -> None:
    """Before the downsampling the picture has twice the size of the measurement."""
    large, small = ({"kind": "mask", "mask": {"file_id": idle.send(hole(*size))}} for size in ((64, 48), (32, 24)))
    first = restore(idle, large, HALF)
    assert first.status_code == restore(idle, HALF, small).status_code == 202
    assert first.json()["request"]["operator"]["operators"][0]["mask"]["width"] == 64
    refused = restore(idle, small, HALF)
    assert_problem(refused, "operator_shape_mismatch", "/operator/operators/0/mask")
    black = {"kind": "mask", "mask": {"data_url": data_url(encoded(Image.new("L", (32, 24))))}}
    assert_problem(restore(idle, black), "mask_empty", "/operator/mask")


@pytest.mark.parametrize("pattern", [{"kind": "random"}, {"kind": "free_form"}, {"kind": "text", "text": "lost"}])
def test_patterns_fit_any_size(idle: Api, pattern: dict[str, Any]) -> None:
    assert restore(idle, {"kind": "mask", "pattern": pattern}).status_code == 202


def test_a_box_lies_inside_the_picture(idle: Api) -> None:
    def box(top: int, left: int, height: int, width: int) -> Any:
        pattern = {"kind": "box", "top": top, "left": left, "height": height, "width": width}
        return restore(idle, {"kind": "mask", "pattern": pattern})

    assert box(2, 3, 22, 29).status_code == 202
    for outside in ((2, 3, 23, 1), (0, 30, 1, 3), (0, 0, 24, 32)):
        assert_problem(box(*outside), "operator_shape_mismatch", "/operator/pattern")


def test_files_of_a_form_go_where_the_operator_has_room(idle: Api) -> None:
    operator = {"kind": "compose", "operators": [{"kind": "mask"}, {"kind": "blur", "kernel": {"kind": "image"}}]}
    files = {"measurement": ("a", png()), "mask": ("m", hole()), "kernel_image": ("k", png(5, 5, mode="L"))}
    response = idle.http.post("/v1/restore", files=files, data={"operator": json.dumps(operator)})
    assert response.status_code == 202, response.text
    mask, blur = response.json()["request"]["operator"]["operators"]
    assert (mask["mask"]["width"], blur["kernel"]["width"]) == (32, 5)
    unused = idle.http.post("/v1/restore", files=files, data={"operator": '{"kind": "mask"}'})
    assert_problem(unused, "validation_failed", "/kernel_image")


def test_colours_that_are_lost_are_not_in_the_measurement(idle: Api) -> None:
    assert restore(idle, {"kind": "grey"}, HALF, measurement=grey_png()).status_code == 202
    grey = Image.open(io.BytesIO(png(mode="L"))).convert("RGB")
    assert restore(idle, {"kind": "grey"}, measurement={"data_url": data_url(encoded(grey))}).status_code == 202
    assert_problem(restore(idle, {"kind": "grey"}), "operator_shape_mismatch", "/measurement")
    twice = restore(idle, {"kind": "grey"}, {"kind": "grey"}, measurement=grey_png())
    assert_problem(twice, "operator_shape_mismatch", "/operator/operators/0")


@pytest.mark.parametrize(
    ("operator", "pointer"),
    [
        ({"kind": "phases"}, "/operator"),
        ({"kind": "phase", "oversampling": -1}, "/operator/oversampling"),
        ({"kind": "blur", "kernel": {"kind": "gaussian", "width": -1}}, "/operator/kernel/width"),
        ({"kind": "mask"}, "/operator"),
        ({"kind": "mask", "pattern": {"kind": "random"}, "mask_threshold": 7}, "/operator/mask_threshold"),
        ({"kind": "mask", "pattern": {"kind": "text", "text": ""}}, "/operator/pattern/text"),
        ({"kind": "mask", "pattern": {"kind": "text", "text": "a\nb"}}, "/operator/pattern/text"),
        ({"kind": "downsample", "scale": 5}, "/operator/scale"),
        ({"kind": "downsample", "kernel": "cubic"}, "/operator/kernel"),
        ({"kind": "compose", "operators": [HALF] * 9}, "/operator/operators"),
        ({"kind": "compose", "operators": [{"kind": "compose", "operators": [HALF]}]}, "/operator/operators/0"),
        ({"kind": "compose", "operators": [HALF, {"kind": "clip", "gain": 0}]}, "/operator/operators/1/gain"),
        ([], "/operator"),
        (None, "/operator"),
    ],
)
def test_refused_operators(idle: Api, operator: Any, pointer: str) -> None:
    assert_problem(post(idle, "/v1/restore", operator=operator), "operator_invalid", pointer)


def test_a_kernel_wider_than_the_picture_at_its_place(idle: Api) -> None:
    wide = {"kind": "blur", "kernel": {"kind": "box", "size": 33}}
    assert restore(idle, wide, HALF).status_code == 202
    assert_problem(restore(idle, HALF, wide), "operator_shape_mismatch", "/operator/operators/1/kernel")


def test_an_operator_must_be_there(idle: Api) -> None:
    assert_problem(post(idle, "/v1/restore"), "validation_failed", "/operator")
    no_picture = idle.http.post("/v1/restore", json={"operator": HALF, "image": {"file_id": "x"}})
    assert_problem(no_picture, "validation_failed", "/measurement")


def test_what_nests_without_end_is_refused(idle: Api) -> None:
    deep = '{"kind": "compose", "operators": [' * 1000 + "]}" * 1000
    files = {"measurement": ("a", png())}
    assert_problem(idle.http.post("/v1/restore", files=files, data={"operator": deep}), "operator_invalid", "/operator")
    body = f'{{"measurement": {{"file_id": "x"}}, "operator": {deep}}}'
    response = idle.http.post("/v1/restore", content=body, headers={"Content-Type": "application/json"})
    assert_problem(response, "malformed_request")


def test_a_result_that_would_be_too_large(make_api: MakeApi) -> None:
    api = make_api(max_pixels=64 * 64)
    assert restore(api, HALF).status_code == 202
    eight = {"kind": "downsample", "scale": 8}
    assert_problem(restore(api, *[eight] * 8), "image_too_many_pixels", "/operator")


def test_a_batch_takes_every_restoring_task(idle: Api) -> None:
    item = {"image": {"file_id": idle.send(png())}}
    for task, defaults in (("deblur", {"kernel": KERNELS[0]}), ("restore", {"operator": BLUR})):
        batch = idle.http.post("/v1/batches", json={"task": task, "defaults": defaults, "items": [item]}).json()
        assert batch["counts"]["queued"] == 1, batch
    refused = idle.http.post("/v1/batches", json={"task": "restore", "items": [item]}).json()
    assert refused["items"][0]["problem"]["errors"][0]["pointer"] == "/items/0/operator"
    assert_problem(idle.http.post("/v1/batches", json={"task": "apply", "items": [item]}), "validation_failed", "/task")


def test_inputs_of_an_operator_go_with_the_last_job_that_needs_them(idle: Api) -> None:
    operator = {"kind": "matrix", "width": 16, "height": 16, "npy": npy(np.eye(256))}
    job = restore(idle, operator, measurement={"file_id": idle.send(png(16, 16))}).json()
    key = input_key(job["request"]["operator"]["sha256"])
    idle.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert idle.context.files.storage.exists(key)
    assert idle.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not idle.context.files.storage.exists(key)
