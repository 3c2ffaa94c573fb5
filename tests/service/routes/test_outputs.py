"""Events, results and artifacts of jobs."""

import base64
import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.service.api import Api, assert_problem, encoded, hole, png

Event = tuple[int, str, dict[str, Any]]


def stream(api: Api, job_id: str, after: int | None = None) -> list[Event]:
    """Every event until the stream ends."""
    headers = {} if after is None else {"Last-Event-ID": str(after)}
    response = api.http.get(f"/v1/jobs/{job_id}/events", headers=headers)
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block for block in response.text.split("\n\n") if block and not block.startswith(":")]
    fields = [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]
    return [(int(each["id"]), each["event"], json.loads(each["data"])) for each in fields]


def test_the_stream_tells_the_whole_story_and_ends(api: Api) -> None:
    job = api.submit()
    events = stream(api, job["id"])
    names = [name for _, name, _ in events]
    assert names[0] == "job.queued"
    assert set(names[1:-1]) == {"job.started", "job.progress", "job.preview"}
    assert names[-1] == "job.succeeded"
    numbers = [number for number, _, _ in events]
    assert numbers == sorted(set(numbers))
    ended = events[-1][2]
    assert ended == api.http.get(f"/v1/jobs/{job['id']}").json()
    preview = next(data for _, name, data in events if name == "job.preview")
    assert preview == {"url": f"/v1/jobs/{job['id']}/artifacts/preview", "step": 1}


def test_a_stream_goes_on_where_it_was_cut(api: Api) -> None:
    job = api.run()
    whole = stream(api, job["id"])
    for number, _, _ in whole[:-1]:
        assert stream(api, job["id"], after=number) == [each for each in whole if each[0] > number]
    assert [name for _, name, _ in stream(api, job["id"], after=whole[-1][0])] == ["job.succeeded"]


@pytest.mark.parametrize(("do", "last"), [("fail", "job.failed"), ("", "job.succeeded")])
def test_exactly_one_terminal_event(api: Api, do: str, last: str) -> None:
    names = [name for _, name, _ in stream(api, api.submit(do)["id"])]
    ends = {"job.succeeded", "job.failed", "job.canceled", "job.expired"}
    assert [name for name in names if name in ends] == [last]


def test_a_canceled_job_ends_its_stream(idle: Api) -> None:
    job = idle.submit()
    idle.http.post(job["links"]["cancel"])
    assert [name for _, name, _ in stream(idle, job["id"])] == ["job.queued", "job.canceled"]


def test_refused_streams(api: Api) -> None:
    assert_problem(api.http.get("/v1/jobs/none/events"), "job_not_found")
    path = f"/v1/jobs/{api.submit()['id']}/events"
    for value in ("x", "-1", str(2**40)):
        assert_problem(api.http.get(path, headers={"Last-Event-ID": value}), "validation_failed")


def result(api: Api, job: dict[str, Any], accept: str | None = None, **headers: str) -> Any:
    sent = headers | ({"Accept": accept} if accept else {})
    return api.http.get(job["links"]["result"], headers=sent)


@pytest.mark.parametrize(
    ("accept", "given"),
    [
        ("*/*", "image/png"),
        ("image/*", "image/png"),
        ("image/png", "image/png"),
        ("image/tiff", "image/tiff"),
        ("image/webp", "image/webp"),
        ("image/jpeg", "image/jpeg"),
        ("image/webp;q=0.5, image/jpeg;q=0.9", "image/jpeg"),
        ("text/html, image/*;q=0.1", "image/png"),
        ("application/json", "application/json"),
    ],
)
def test_the_result_comes_in_the_form_that_is_accepted(api: Api, accept: str, given: str) -> None:
    sent = encoded(Image.linear_gradient("L").resize((32, 24)).convert("RGB"))
    job = api.run(image={"file_id": api.send(sent)})
    response = result(api, job, accept)
    assert response.status_code == 200
    assert response.headers["content-type"] == given
    assert response.headers["vary"] == "Accept"
    if given == "application/json":
        assert response.json() == api.http.get(job["links"]["self"]).json()
        return
    picture = np.asarray(Image.open(io.BytesIO(response.content)).convert("RGB"), float)
    original = np.asarray(Image.open(io.BytesIO(sent)), float)
    assert picture.shape == original.shape
    if given in ("image/png", "image/tiff"):
        assert np.array_equal(picture, original)
    else:
        assert abs(picture - original).mean() < 2


def test_a_16_bit_result_becomes_a_jpeg_of_8(api: Api) -> None:
    ramp = Image.fromarray(np.linspace(0, 65535, 32 * 32).reshape(32, 32).astype(np.uint16))
    job = api.run(image={"file_id": api.send(encoded(ramp))})
    image = Image.open(io.BytesIO(result(api, job, "image/jpeg").content))
    assert abs(np.asarray(image.convert("L"), float) - np.linspace(0, 255, 32 * 32).reshape(32, 32)).max() < 4


def test_forms_that_cannot_be_given(api: Api) -> None:
    job = api.run()
    assert_problem(result(api, job, "text/html"), "not_acceptable")
    assert_problem(result(api, job, "image/png;q=0, text/plain"), "not_acceptable")


def test_there_is_no_result_yet(idle: Api) -> None:
    job = idle.submit()
    response = result(idle, job, "image/png")
    assert (response.status_code, response.headers["retry-after"]) == (202, "1")
    assert response.json()["status"] == "queued"


def test_there_is_no_result_of_a_failed_job(api: Api) -> None:
    found = assert_problem(result(api, api.run("fail")), "job_failed")
    assert "solver_diverged" in found["detail"]


def test_artifacts_carry_tag_digest_and_type(api: Api) -> None:
    sent = png(seed=4)
    job = api.run(image={"file_id": api.send(sent)})
    for each in job["result"]["artifacts"]:
        response = api.http.get(each["url"])
        digest = hashlib.sha256(response.content)
        assert (response.status_code, response.headers["content-type"]) == (200, each["media_type"])
        assert (len(response.content), digest.hexdigest()) == (each["bytes"], each["sha256"])
        assert response.headers["etag"] == f'"{digest.hexdigest()}"'
        assert response.headers["content-digest"] == f"sha-256=:{base64.b64encode(digest.digest()).decode()}:"
        again = api.http.get(each["url"], headers={"If-None-Match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    assert api.http.get(f"/v1/jobs/{job['id']}/artifacts/input").content == sent


def test_the_mask_is_an_artifact_of_inpainting(idle: Api) -> None:
    mask = hole()
    job = idle.http.post("/v1/inpaint", files={"image": ("a", png()), "mask": ("m", mask)}).json()
    assert idle.http.get(f"/v1/jobs/{job['id']}/artifacts/mask").content == mask
    assert_problem(idle.http.get(f"/v1/jobs/{job['id']}/artifacts/preview"), "artifact_not_found")
    assert_problem(idle.http.get(f"/v1/jobs/{job['id']}/artifacts/result"), "artifact_not_found")
    assert_problem(idle.http.get(f"/v1/jobs/{job['id']}/artifacts/..%2f..%2fx"), "not_found")


def test_the_newest_preview_is_an_artifact(api: Api) -> None:
    response = api.http.get(f"/v1/jobs/{api.run()['id']}/artifacts/preview")
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(response.content)).size == (32, 24)


def test_lost_bytes_are_told_as_such(api: Api) -> None:
    job = api.run()
    record = api.context.queue.get(job["id"])
    assert record is not None
    assert record.result is not None
    api.context.files.storage.delete(record.result["artifacts"][0]["key"])
    assert_problem(result(api, job), "job_expired")
