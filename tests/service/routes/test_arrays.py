"""Arrays in place of pictures: how they are sent and given, what a measurement may be, every refusal."""

import io
import json
from typing import Any

import numpy as np
import pytest

from service.arrays import npy_bytes
from tests.service.api import Api, MakeApi, assert_problem, png
from tests.service.routes.asking import HALF, data_url, npy, post, restore

MAGNITUDES = (np.random.default_rng(0).gamma(1, size=(36, 48)) + 1) / 2
PHASE = {"kind": "phase"}
LEVEL = {"noise": {"sigma": 0.01}}
LINE = {"kind": "matrix", "width": 32, "height": 24, "output_width": 40, "output_height": 1, "entries": [[0, 5, 1.0]]}


@pytest.mark.parametrize("form", ["file", "data_url", "form"])
def test_a_measurement_is_an_array(idle: Api, form: str) -> None:
    if form == "form":
        fields = {"operator": json.dumps(PHASE), "noise": json.dumps(LEVEL["noise"])}
        files = {"measurement": ("m.npy", npy_bytes(MAGNITUDES))}
        response = idle.http.post("/v1/restore", files=files, data=fields)
    else:
        sent = {"file_id": idle.send(npy_bytes(MAGNITUDES))} if form == "file" else {"data_url": npy(MAGNITUDES)}
        response = restore(idle, PHASE, measurement=sent, **LEVEL)
    assert response.status_code == 202, response.text
    job = response.json()
    image = job["request"]["image"]
    assert (image["width"], image["height"], image["media_type"]) == (48, 36, "application/x-npy")
    stored = idle.http.get(f"/v1/jobs/{job['id']}/artifacts/input")
    assert (stored.content, stored.headers["content-type"]) == (npy_bytes(MAGNITUDES), "application/x-npy")


def test_a_file_says_that_it_is_an_array(idle: Api) -> None:
    info = idle.http.get(f"/v1/files/{idle.send(npy_bytes(MAGNITUDES))}").json()
    assert (info["format"], info["mode"], info["bit_depth"]) == ("NPY", "F", 64)
    content = idle.http.get(f"/v1/files/{info['id']}/content")
    assert content.headers["content-type"] == "application/x-npy"


@pytest.mark.parametrize(
    "data",
    [
        npy_bytes(MAGNITUDES)[:-1],
        npy_bytes(MAGNITUDES[0]),
        npy_bytes(np.full((20, 20), np.nan)),
        npy_bytes(np.zeros((20, 20, 4))),
        npy_bytes(np.zeros((20, 20), np.int64)),
    ],
)
def test_refused_arrays_name_their_field(idle: Api, data: bytes) -> None:
    assert_problem(idle.http.post("/v1/files", files={"file": ("a", data)}), "unsupported_image", "/file")
    refused = restore(idle, {"kind": "clip"}, measurement={"data_url": data_url(data)})
    assert_problem(refused, "unsupported_image", "/measurement")
    assert_problem(idle.http.post("/v1/denoise", files={"image": ("a", data)}), "unsupported_image", "/image")


def test_an_array_of_very_many_pixels_is_refused(make_api: MakeApi) -> None:
    api = make_api(max_pixels=32 * 32)
    refused = restore(api, HALF, measurement={"data_url": npy(MAGNITUDES)})
    assert_problem(refused, "image_too_many_pixels", "/measurement")


def test_only_measurements_may_be_lines(idle: Api) -> None:
    line = {"file_id": idle.send(npy_bytes(np.zeros((1, 40))))}
    assert restore(idle, LINE, measurement=line).status_code == 202
    assert_problem(idle.http.post("/v1/denoise", json={"image": line}), "image_too_small", "/image")


def test_a_measurement_without_colours_may_be_an_array(idle: Api) -> None:
    grey = {"kind": "grey"}
    assert restore(idle, grey, measurement={"data_url": npy(MAGNITUDES)}).status_code == 202
    equal = np.stack([MAGNITUDES] * 3, 2)
    assert restore(idle, grey, measurement={"data_url": npy(equal)}).status_code == 202
    equal[3, 4, 1] += 1e-3
    refused = restore(idle, grey, measurement={"data_url": npy(equal)})
    assert_problem(refused, "operator_shape_mismatch", "/measurement")


@pytest.mark.parametrize(
    ("size", "operator", "fields", "code", "pointer"),
    [
        ((36, 48), PHASE, {}, "validation_failed", "/noise"),
        ((36, 48), {"kind": "compose", "operators": [HALF, PHASE]}, {}, "validation_failed", "/noise"),
        ((36, 52), PHASE, LEVEL, "operator_shape_mismatch", "/operator"),
        ((36, 48), PHASE, LEVEL | {"solver": "ddnm"}, "operator_invalid", "/operator"),
        ((36, 48), PHASE | {"oversampling": 8.5}, LEVEL, "operator_invalid", "/operator/oversampling"),
    ],
)
def test_refused_magnitudes(idle: Api, size: Any, operator: Any, fields: Any, code: str, pointer: str) -> None:
    refused = restore(idle, operator, measurement={"data_url": npy(np.ones(size))}, **fields)
    assert_problem(refused, code, pointer)


def test_magnitudes_are_not_negative(idle: Api) -> None:
    raw = np.random.default_rng(1).gamma(1, size=(36, 48))
    for sent in (npy(raw), npy(raw - 1), data_url(png(48, 36))):
        refused = restore(idle, PHASE, measurement={"data_url": sent}, **LEVEL)
        found = assert_problem(refused, "validation_failed", "/measurement")
        assert "a magnitude y is sent as (y + 1) / 2" in found["detail"]
    chain = restore(idle, {"kind": "gamma"}, PHASE, measurement={"data_url": npy(raw)}, **LEVEL)
    assert_problem(chain, "validation_failed", "/measurement")
    noisy = MAGNITUDES + np.random.default_rng(2).normal(0, 0.05, MAGNITUDES.shape)
    assert noisy.min() < 0.45
    for sigma, status in ((0.05, 202), (0.005, 422)):
        response = restore(idle, PHASE, measurement={"data_url": npy(noisy)}, noise={"sigma": sigma})
        assert response.status_code == status, response.text
    assert restore(idle, {"kind": "clip"}, measurement={"data_url": npy(raw - 1)}).status_code == 202


def test_a_phase_is_not_inverted(api: Api) -> None:
    back = post(api, "/v1/operators/apply", operator=PHASE, direction="adjoint", image={"data_url": npy(MAGNITUDES)})
    assert_problem(back, "operator_invalid", "/direction")


def test_an_application_gives_an_array_where_one_is_wanted(api: Api) -> None:
    """The worker of these tests copies; `tests/service/test_restoration_arrays.py` has what a real one does."""
    files = {"image": ("a.npy", npy_bytes(MAGNITUDES)), "operator": (None, json.dumps(HALF))}
    asked = {
        "by format": ({"output": (None, '{"format": "npy"}')}, {}),
        "by both": ({"output": (None, '{"format": "npy"}')}, {"Accept": "image/*, application/x-npy"}),
        "by accepting": ({}, {"Accept": "application/x-npy"}),
    }
    for fields, headers in asked.values():
        response = api.http.post("/v1/operators/apply", files=files | fields, headers=headers)
        assert response.headers["content-type"] == "application/x-npy", response.text
        np.testing.assert_allclose(np.load(io.BytesIO(response.content)), MAGNITUDES[..., None], rtol=1e-6)
    for accept in ("image/*, application/x-npy", "image/png"):
        response = api.http.post("/v1/operators/apply", files=files, headers={"Accept": accept})
        assert response.headers["content-type"] == "image/png"


def test_a_result_is_an_array_where_the_job_made_one(api: Api) -> None:
    job, other = api.run(output={"format": "npy"}), api.run()
    accept = {"Accept": "application/x-npy"}
    response = api.http.get(job["links"]["result"], headers=accept)
    assert np.load(io.BytesIO(response.content)).shape == (24, 32, 3)
    as_png = api.http.get(job["links"]["result"], headers={"Accept": "image/png"})
    assert as_png.headers["content-type"] == "image/png"
    refused = assert_problem(api.http.get(other["links"]["result"], headers=accept), "not_acceptable")
    assert "as image/png, image/tiff, image/webp, image/jpeg, application/json" in refused["detail"]
    assert "application/x-npy only where `output.format`" in refused["detail"]
    waited = {"image": ("a", png()), "output": (None, '{"format": "npy"}')}
    response = api.http.post("/v1/denoise", files=waited, headers=accept | {"Prefer": "wait=30"})
    assert response.headers["content-type"] == "application/x-npy"


@pytest.mark.parametrize("depth", ["8", "16"])
def test_an_array_has_its_own_depth(idle: Api, depth: str) -> None:
    sent = {"data_url": npy(MAGNITUDES)}
    named = {"image": sent, "output": {"format": "npy", "bit_depth": depth}}
    assert_problem(idle.http.post("/v1/denoise", json=named), "validation_failed", "/output/bit_depth")
    same = {"image": sent, "output": {"format": "same", "bit_depth": depth}}
    assert_problem(idle.http.post("/v1/denoise", json=same), "validation_failed", "/output/bit_depth")
