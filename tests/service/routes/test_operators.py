"""Deblurring, any operator, and an operator alone: what is accepted, what it becomes, every refusal."""

import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from service.storage import input_key
from tests.service.api import Api, MakeApi, assert_problem, encoded, hole, png


def post(api: Api, path: str, **fields: Any) -> Any:
    name = "measurement" if path == "/v1/restore" else "image"
    body = {name: {"file_id": api.send(png())}} | fields
    return api.http.post(path, content=json.dumps(body), headers={"Content-Type": "application/json"})


def restore(api: Api, *parts: dict[str, Any], **fields: Any) -> Any:
    operator = parts[0] if len(parts) == 1 else {"kind": "compose", "operators": list(parts)}
    return post(api, "/v1/restore", operator=operator, **fields)


def data_url(data: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def npy(array: np.ndarray, **options: Any) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return data_url(buffer.getvalue())


def grey_png(width: int = 32, height: int = 24) -> dict[str, str]:
    return {"data_url": data_url(png(width, height, mode="L"))}


KERNELS = [
    {"kind": "gaussian", "width": 1.5},
    {"kind": "motion", "length": 9, "angle": 30},
    {"kind": "path", "size": 15, "intensity": 0.5, "seed": 3},
    {"kind": "disk", "radius": 2.5},
    {"kind": "box", "size": 5},
]
BLUR = {"kind": "blur", "kernel": KERNELS[0]}
HALF = {"kind": "downsample", "scale": 2}


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_is_a_shape_with_measures(idle: Api, kernel: dict[str, Any]) -> None:
    job = post(idle, "/v1/deblur", kernel=kernel).json()
    assert job["task"] == "deblur"
    assert job["request"]["kernel"] == kernel
    assert (job["request"]["boundary"], job["request"]["noise"]) == ("reflect", "auto")


def test_a_kernel_is_a_picture_in_a_form_or_in_json(idle: Api) -> None:
    picture = encoded(Image.fromarray(np.eye(7, dtype=np.uint8) * 255))
    files = {"image": ("a.png", png()), "kernel_image": ("k.png", picture)}
    one = idle.http.post("/v1/deblur", files=files, data={"boundary": "circular"})
    assert one.status_code == 202, one.text
    two = post(idle, "/v1/deblur", kernel={"kind": "image", "data_url": data_url(picture)})
    kernel = one.json()["request"]["kernel"]
    assert kernel == two.json()["request"]["kernel"]
    assert (kernel["kind"], kernel["width"], kernel["height"]) == ("image", 7, 7)
    assert idle.context.files.storage.get(input_key(kernel["sha256"])) == picture


def test_a_kernel_of_super_resolution_may_be_a_shape(idle: Api) -> None:
    job = post(idle, "/v1/super-resolution", scale=2, kernel={"kind": "gaussian", "width": 1}).json()
    assert job["request"]["kernel"] == {"kind": "gaussian", "width": 1}
    assert_problem(post(idle, "/v1/super-resolution", kernel="lanczos"), "kernel_invalid", "/kernel")


@pytest.mark.parametrize(
    ("kernel", "pointer"),
    [
        ({"kind": "gaussian", "width": 1e9}, "/kernel/width"),
        ({"kind": "gaussian", "width": float("nan")}, "/kernel/width"),
        ({"kind": "gaussian", "width": 0}, "/kernel/width"),
        ({"kind": "gaussian", "width": 6}, "/kernel"),  # 49 pixels a side, the picture has 24
        ({"kind": "box", "size": 10**9}, "/kernel/size"),
        ({"kind": "path", "size": 15, "intensity": 2}, "/kernel/intensity"),
        ({"kind": "motion", "length": 10**400}, "/kernel/length"),
        ({"kind": "disk"}, "/kernel/radius"),
        ({"kind": "lens"}, "/kernel"),
        ({}, "/kernel"),
        ("gaussian", "/kernel"),
        ({"kind": "image"}, "/kernel"),
        ({"kind": "image", "data_url": data_url(encoded(Image.new("L", (5, 5))))}, "/kernel"),
        ({"kind": "image", "data_url": data_url(encoded(Image.new("L", (200, 5), 255)))}, "/kernel"),
    ],
)
def test_refused_kernels(idle: Api, kernel: Any, pointer: str) -> None:
    assert_problem(post(idle, "/v1/deblur", kernel=kernel), "kernel_invalid", pointer)


def test_deblurring_needs_one_kernel(idle: Api) -> None:
    assert_problem(post(idle, "/v1/deblur"), "validation_failed", "/kernel")
    files = {"image": ("a.png", png()), "kernel_image": ("k.png", png(7, 7))}
    both = idle.http.post("/v1/deblur", files=files, data={"kernel": '{"kind": "box", "size": 3}'})
    assert_problem(both, "validation_failed", "/kernel_image")


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


@pytest.mark.parametrize(
    ("operator", "pointer"),
    [
        ({"kind": "phase"}, "/operator"),
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


def test_each_solver_has_its_own_parameters(idle: Api) -> None:
    job = restore(idle, BLUR, solver="dps", params={"step_size": 2}).json()
    assert (job["request"]["params"]["step_size"], job["request"]["params"]["steps"]) == (2, 100)
    assert_problem(restore(idle, BLUR, solver="dps", params={"mode": "fast"}), "validation_failed", "/params/mode")
    assert_problem(restore(idle, BLUR, solver="daps", params={"steps": 0}), "validation_failed", "/params/steps")
    assert_problem(restore(idle, {"kind": "clip"}, solver="ddnm"), "operator_invalid", "/operator")
    assert restore(idle, {"kind": "clip"}, solver="dps").status_code == 202


def test_a_retry_keeps_to_the_solver(idle: Api) -> None:
    job = restore(idle, BLUR, solver="dps").json()
    idle.http.post(f"/v1/jobs/{job['id']}/cancel")
    again = idle.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": {"steps": 7}}).json()
    assert (again["request"]["params"]["steps"], again["request"]["params"]["eta"]) == (7, 1.0)
    refused = idle.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": {"mode": "fast", "steps": 0}})
    assert_problem(refused, "validation_failed", "/params/steps")


def test_uncertainty_is_asked_for(idle: Api) -> None:
    job = post(idle, "/v1/deblur", kernel=KERNELS[0], uncertainty={"samples": 4}, num_samples=2).json()
    assert job["request"]["uncertainty"] == {"method": "ensemble", "samples": 4}
    for wrong in ({"samples": 1}, {"samples": 17}, {"method": "guess"}):
        refused = post(idle, "/v1/denoise", uncertainty=wrong)
        assert_problem(refused, "validation_failed", f"/uncertainty/{next(iter(wrong))}")
    assert_problem(post(idle, "/v1/denoise", num_samples=17), "validation_failed", "/num_samples")


def test_samples_fit_into_a_worker_together(make_api: MakeApi) -> None:
    api = make_api(max_sample_pixels=8 * 32 * 24)
    assert restore(api, BLUR, num_samples=8).status_code == 202
    assert_problem(restore(api, BLUR, num_samples=9), "image_too_many_pixels", "/num_samples")
    assert_problem(restore(api, HALF, uncertainty={"samples": 3}), "image_too_many_pixels", "/uncertainty/samples")
    particles = {"mode": "particles", "particles": 9}
    assert_problem(restore(api, BLUR, params=particles), "image_too_many_pixels", "/params/particles")
    job = restore(api, BLUR, params=particles | {"particles": 8}).json()
    api.http.post(f"/v1/jobs/{job['id']}/cancel")
    again = api.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": particles})
    assert_problem(again, "image_too_many_pixels", "/params/particles")


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


def test_an_operator_is_applied_by_a_worker(api: Api) -> None:
    """The worker of these tests copies; `tests/service/test_application.py` has what a real one does."""
    response = post(api, "/v1/operators/apply", operator=BLUR)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(response.content)).size == (32, 24)
    as_jpeg = {"image": ("a.png", png()), "operator": (None, json.dumps(BLUR)), "seed": (None, "3")}
    response = api.http.post("/v1/operators/apply", files=as_jpeg, headers={"Accept": "image/jpeg"})
    assert response.headers["content-type"] == "image/jpeg"


def test_without_a_worker_nobody_waits(idle: Api) -> None:
    assert_problem(post(idle, "/v1/operators/apply", operator=HALF), "not_ready")
    assert idle.http.get("/v1/jobs").json()["data"] == []


def test_an_application_that_takes_too_long_is_given_up(api: Api) -> None:
    headers = {"Prefer": "wait=0", "Idempotency-Key": "apply"}
    files = {"image": ("a.png", png()), "operator": (None, json.dumps(BLUR))}
    refused = api.http.post("/v1/operators/apply", files=files, headers=headers)
    assert_problem(refused, "not_ready")
    assert int(refused.headers["retry-after"]) > 0
    job = api.http.get("/v1/jobs", params={"task": "apply", "limit": 1}).json()["data"][0]
    assert api.finish(job["id"])["status"] in ("canceled", "succeeded")
    assert_problem(api.http.post(f"/v1/jobs/{job['id']}/retry", json={}), "validation_failed")
    again = api.http.post("/v1/operators/apply", files=files, headers={"Idempotency-Key": "apply"})
    assert again.status_code == 200, again.text


def test_refused_applications(api: Api) -> None:
    path = "/v1/operators/apply"
    assert_problem(post(api, path, operator={"kind": "clip"}, direction="adjoint"), "operator_invalid", "/direction")
    assert_problem(post(api, path, operator=HALF, direction="back"), "validation_failed", "/direction")
    assert_problem(post(api, path, operator=HALF, noise="auto"), "validation_failed", "/noise")
    assert_problem(post(api, path, operator=HALF, solver="dps"), "validation_failed", "/solver")
    odd = {"kind": "downsample", "scale": 3}
    assert_problem(post(api, path, operator=odd), "operator_shape_mismatch", "/operator")
    large = {"image": {"file_id": api.send(png(1100, 1000))}}
    assert_problem(post(api, path, operator=HALF, **large), "image_too_many_pixels", "/operator")
    assert_problem(post(api, path, operator={"kind": "grey"}, direction="adjoint"), "operator_shape_mismatch", "/image")
