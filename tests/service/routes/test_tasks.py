"""Creating jobs at the tasks' own addresses: both content types, every refusal."""

import base64
import io
import json
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.service.api import Api, MakeApi, add_latent_prior, assert_problem, encoded, hole, png


def form(api: Api, path: str = "/v1/denoise", *, image: Any = None, mask: Any = None, **fields: str) -> Any:
    files = {"image": ("a.png", png() if image is None else image)}
    if mask is not None:
        files["mask"] = ("m.png", mask)
    return api.http.post(path, files=files, data=fields)


def body(api: Api, path: str = "/v1/denoise", **fields: Any) -> Any:
    fields = {"image": {"file_id": api.send(png())}} | fields
    return api.http.post(path, content=json.dumps(fields), headers={"Content-Type": "application/json"})


def test_a_form_becomes_a_resolved_job(idle: Api) -> None:
    response = form(
        idle, noise='{"sigma": 0.1}', params='{"sweeps": 5}', seed="11", output='{"format": "webp"}', client_ref="x"
    )
    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/jobs/{job['id']}" == job["links"]["self"]
    assert (job["status"], job["client_ref"], job["queue"]) == ("queued", "x", {"position": 1, "ahead": 0})
    request = job["request"]
    assert (request["prior"], request["prior_digest"], request["seed"]) == ("tiny", "ab" * 32, 11)
    assert (request["noise"]["sigma"], request["params"]["sweeps"]) == (0.1, 5)
    assert request["solver"] == "score_dvi"
    assert (request["image"]["width"], request["image"]["height"], request["output"]["format"]) == (32, 24, "webp")


def test_json_takes_file_ids_and_data_urls_alike(idle: Api) -> None:
    data_url = "data:image/png;base64," + base64.b64encode(png()).decode()
    one = body(idle).json()
    two = body(idle, image={"data_url": data_url}).json()
    assert one["request"]["image"] == two["request"]["image"]
    assert one["request"]["mask"] is None


def test_a_form_takes_an_image_reference_too(idle: Api) -> None:
    reference = json.dumps({"file_id": idle.send(png())})
    assert idle.http.post("/v1/denoise", files={"image": (None, reference)}).status_code == 202


def test_a_seed_is_drawn_where_none_is_given(idle: Api) -> None:
    seeds = {body(idle).json()["request"]["seed"] for _ in range(3)}
    assert len(seeds) == 3


def test_inpainting_keeps_the_mask(idle: Api) -> None:
    job = form(idle, "/v1/inpaint", mask=hole()).json()
    assert job["task"] == "inpaint"
    assert job["request"]["mask"]["sha256"] != job["request"]["image"]["sha256"]


def test_the_alpha_channel_can_be_the_mask(idle: Api) -> None:
    pixels = np.full((24, 32, 4), 255, np.uint8)
    pixels[5:9, 5:9, 3] = 0
    response = form(idle, "/v1/inpaint", image=encoded(Image.fromarray(pixels)), mask_mode="alpha_unknown")
    assert response.status_code == 202, response.text
    assert response.json()["request"]["mask"] is None


def test_a_mask_is_compared_after_the_exif_turn(idle: Api) -> None:
    """A phone's portrait is stored as landscape with a turn; the mask was drawn over what people see."""
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = encoded(Image.open(io.BytesIO(png(40, 20))), "JPEG", exif=exif)
    assert form(idle, "/v1/inpaint", image=turned, mask=hole(20, 40)).status_code == 202
    assert_problem(form(idle, "/v1/inpaint", image=turned, mask=hole(40, 20)), "mask_size_mismatch", "/mask")


@pytest.mark.parametrize("scale", [2, 3, 4, 8])
def test_super_resolution_offers_four_scales(idle: Api, scale: int) -> None:
    assert form(idle, "/v1/super-resolution", scale=str(scale)).json()["request"]["scale"] == scale


def test_refused_masks(idle: Api) -> None:
    black, white = (encoded(Image.new("L", (32, 24), value)) for value in (0, 255))
    assert_problem(form(idle, "/v1/inpaint", mask=black), "mask_empty", "/mask")
    assert_problem(form(idle, "/v1/inpaint", mask=white), "mask_full", "/mask")
    assert_problem(form(idle, "/v1/inpaint", mask=hole(16, 16)), "mask_size_mismatch", "/mask")
    assert_problem(form(idle, "/v1/inpaint", mask=b"junk"), "unsupported_image", "/mask")
    assert_problem(form(idle, "/v1/inpaint"), "validation_failed", "/mask")
    assert_problem(form(idle, "/v1/denoise", mask=hole()), "validation_failed", "/mask")


def test_refused_pictures(make_api: MakeApi) -> None:
    api = make_api(max_pixels=64 * 64, max_file_bytes=50_000)
    assert_problem(form(api, image=b"not a picture"), "unsupported_image", "/image")
    assert_problem(form(api, image=b""), "unsupported_image", "/image")
    assert_problem(form(api, image=png()[:-200]), "unsupported_image", "/image")
    assert_problem(form(api, image=png(100, 100)), "image_too_many_pixels", "/image")
    assert_problem(form(api, image=png(15, 100)), "image_too_small", "/image")
    assert_problem(form(api, image=b"x" * 50_001), "file_too_large", "/image")
    assert_problem(form(api, image=b"x" * 2_000_000), "file_too_large")
    assert_problem(form(api, "/v1/super-resolution", image=png(32, 32), scale="4"), "image_too_many_pixels", "/scale")


def test_a_bomb_is_refused_by_its_header(idle: Api) -> None:
    assert_problem(form(idle, image=bomb(60_000)), "image_too_many_pixels", "/image")


def bomb(side: int) -> bytes:
    """A PNG of side x side black pixels in a few kilobytes: the header is enough."""
    data = bytearray(encoded(Image.new("1", (16, 16))))
    data[16:24] = side.to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


def test_refused_options(idle: Api) -> None:
    assert_problem(body(idle, prior="none"), "unknown_prior", "/prior")
    assert_problem(body(idle, prior=""), "unknown_prior", "/prior")
    assert_problem(body(idle, solver="none"), "unknown_solver", "/solver")
    assert_problem(body(idle, "/v1/super-resolution", scale=5), "scale_unsupported", "/scale")
    for solver, wrong in (
        ("score_dvi", {"steps": 3}),
        ("red_diff", {"learning_rate": 0.1}),
        ("red_diff", {"steps": 0}),
    ):
        refused = body(idle, solver=solver, params=wrong)
        assert_problem(refused, "validation_failed", f"/params/{next(iter(wrong))}")
    paper = {"mode": "paper", "sigma_max": 1}
    assert_problem(body(idle, solver="red_diff", params=paper), "validation_failed", "/params/sigma_max")
    assert_problem(body(idle, params={"mode": "paper", "sweeps": 1}), "validation_failed", "/params/sweeps")
    assert_problem(body(idle, params={"prior_weight": float("nan")}), "validation_failed", "/params/prior_weight")
    assert_problem(body(idle, params={"sweepz": 3}), "validation_failed", "/params/sweepz")
    assert_problem(body(idle, noise={"sigma": 2}), "validation_failed", "/noise/sigma")
    assert_problem(body(idle, noise={}), "validation_failed", "/noise")
    assert_problem(body(idle, noise="loud"), "validation_failed", "/noise")
    assert_problem(body(idle, output={"format": "jpeg", "bit_depth": "16"}), "validation_failed", "/output/bit_depth")
    assert_problem(body(idle, seed="3"), "validation_failed", "/seed")
    assert_problem(body(idle, deadline_s=float("inf")), "validation_failed", "/deadline_s")
    assert_problem(body(idle, client_ref="a\0b"), "validation_failed", "/client_ref")
    assert_problem(body(idle, **{"a/b~c": 1}), "validation_failed", "/a~1b~0c")
    assert_problem(body(idle, image={}), "validation_failed", "/image")
    assert_problem(body(idle, image={"file_id": "file_none"}), "file_not_found", "/image/file_id")
    assert_problem(body(idle, image={"data_url": "data:,x"}), "validation_failed", "/image/data_url")
    assert_problem(body(idle, image={"data_url": "data:image/png;base64,?"}), "validation_failed", "/image/data_url")


def test_a_prior_on_latents_is_for_what_is_missing_not_for_noise(idle: Api) -> None:
    add_latent_prior(idle.context.settings)
    mask = {"file_id": idle.send(hole())}
    for path, fields in (("/v1/inpaint", {"mask": mask}), ("/v1/super-resolution", {"scale": 4})):
        accepted = body(idle, path, prior="sd", **fields)
        assert (accepted.status_code, accepted.json()["request"]["prior"]) == (202, "sd")
        refused = body(idle, path, prior="sd", params={"mode": "paper"}, **fields)
        assert_problem(refused, "incompatible_prior", "/prior")
    assert_problem(body(idle, prior="sd"), "incompatible_prior", "/prior")
    for asked in ({"solver": "dps"}, {"num_samples": 2}, {"uncertainty": {"samples": 2}}):
        refused = body(idle, "/v1/super-resolution", prior="sd", scale=4, **asked)
        assert_problem(refused, "incompatible_prior", "/prior")
    white = {"solver": "red_diff", "params": {"sigma_max": 0.5}}
    assert_problem(body(idle, prior="sd", **white), "incompatible_prior", "/prior")


def test_16_bits_in_the_same_format_need_one_that_has_them(idle: Api) -> None:
    jpeg = encoded(Image.new("RGB", (32, 32)), "JPEG")
    output = '{"format": "same", "bit_depth": "16"}'
    assert_problem(form(idle, image=jpeg, output=output), "validation_failed", "/output/bit_depth")
    assert form(idle, output=output).status_code == 202


def test_refused_form_fields(idle: Api) -> None:
    assert_problem(form(idle, unknown="1"), "validation_failed", "/unknown")
    assert_problem(form(idle, noise="0.05"), "validation_failed", "/noise")
    assert_problem(form(idle, noise="x"), "validation_failed", "/noise")
    assert_problem(form(idle, params="{"), "validation_failed", "/params")
    assert_problem(form(idle, noise='{"sigma": true}'), "validation_failed", "/noise/sigma")
    assert_problem(form(idle, noise='{"sigma": "0.1"}'), "validation_failed", "/noise/sigma")
    assert_problem(form(idle, uncertainty='{"samples": true}'), "validation_failed", "/uncertainty/samples")
    assert_problem(form(idle, seed="true"), "validation_failed", "/seed")
    assert_problem(form(idle, image=png(), seed="-1"), "validation_failed", "/seed")
    assert_problem(idle.http.post("/v1/denoise", files={"a": ("a", b"")}), "validation_failed", "/image")
    assert_problem(idle.http.post("/v1/denoise", files={"image": (None, "x")}), "validation_failed", "/image")
    twice = [("image", ("a", png())), ("image", ("b", png()))]
    assert_problem(idle.http.post("/v1/denoise", files=twice), "validation_failed", "/image")
    as_file = {"image": ("a", png()), "seed": ("s", b"1")}
    assert_problem(idle.http.post("/v1/denoise", files=as_file), "validation_failed", "/seed")


def test_refused_bodies(idle: Api) -> None:
    def post(content: bytes, kind: str) -> Any:
        return idle.http.post("/v1/denoise", content=content, headers={"Content-Type": kind})

    assert_problem(post(b"{", "application/json"), "malformed_request")
    assert_problem(post(b"", "application/json"), "malformed_request")
    assert_problem(post(b"[" * 100_000, "application/json"), "malformed_request")
    assert_problem(post(b"[]", "application/json"), "validation_failed")
    assert_problem(post(b"x", "multipart/form-data"), "malformed_request")
    assert_problem(post(b"x", "multipart/form-data; boundary=b"), "malformed_request")
    assert_problem(post(b"--b\r\nx", "multipart/form-data; boundary=b"), "malformed_request")
    named = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n--b--\r\n'
    assert_problem(post(named, "multipart/form-data; boundary=b; charset=undefined"), "malformed_request")
    assert_problem(post(b"image=1", "application/x-www-form-urlencoded"), "unsupported_media_type")
    assert_problem(idle.http.post("/v1/denoise"), "unsupported_media_type")


def test_without_the_default_prior_of_its_solver_a_job_is_refused(make_api: MakeApi) -> None:
    api = make_api(default_prior="gone")
    assert_problem(form(api, solver="red_diff"), "not_ready")
    assert form(api).json()["request"]["prior"] == "tiny"
    assert_problem(form(make_api(default_denoiser="gone")), "not_ready")


def test_a_full_queue_says_when_to_come_back(make_api: MakeApi) -> None:
    api = make_api(max_queued=1)
    assert form(api).status_code == 202
    response = form(api)
    assert_problem(response, "queue_full")
    assert int(response.headers["retry-after"]) > 0


def test_cancel_after_is_a_deadline(idle: Api) -> None:
    def post(cancel_after: str, **fields: Any) -> Any:
        sent = {"image": {"file_id": idle.send(png())}} | fields
        return idle.http.post("/v1/denoise", json=sent, headers={"Cancel-After": cancel_after})

    record = idle.context.queue.get(post("5m", deadline_s=3600).json()["id"])
    assert record is not None
    assert record.deadline_at == pytest.approx(record.created_at + 300, abs=5)
    assert_problem(post("soon"), "validation_failed", "/header/cancel-after")
    assert_problem(post("0s"), "validation_failed", "/header/cancel-after")
