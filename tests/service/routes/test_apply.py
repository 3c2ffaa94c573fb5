"""An operator alone: what is accepted, what it becomes, every refusal."""

import io
import json

from PIL import Image

from tests.service.api import Api, assert_problem, png
from tests.service.routes.asking import BLUR, HALF, post


def test_an_operator_is_applied_by_a_worker(api: Api) -> None:
    """The worker of these tests copies; `tests/service/test_restoration_operators.py` has what a real one does."""
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


def test_what_only_the_worker_finds_wrong_with_an_operator(api: Api) -> None:
    """A number that no float holds is the request's fault; the worker's memory is not."""
    large = {"kind": "matrix", "width": 32, "height": 24, "entries": [[0, 0, 3e38]]}
    refused = assert_problem(post(api, "/v1/operators/apply", operator=large), "operator_invalid", "/operator")
    assert "not finite" in refused["detail"]
    refused = assert_problem(post(api, "/v1/operators/apply", operator={"kind": "jpeg"}), "job_failed")
    assert refused["detail"].startswith("out_of_memory")


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
