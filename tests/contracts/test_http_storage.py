"""What the HTTP side keeps in its own tables, on SQLite and on PostgreSQL alike."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from service import database
from service.metrics import EngineMetrics, MetricsWriter, retire
from tests.service.api import Api, assert_problem, hole, png, running_api, settings_in


@pytest.fixture
def api(database_url: str, tmp_path: Path) -> Iterator[Api]:
    """Without a worker."""
    with running_api(settings_in(tmp_path, database_url=database_url)) as running:
        yield running


def test_files_live_as_long_as_they_are_needed(api: Api) -> None:
    job = api.submit()
    file_id = job["request"]["image"]["file_id"]
    assert api.send(png()) == file_id
    assert api.http.delete(f"/v1/files/{file_id}").status_code == 204
    assert api.http.get(f"/v1/jobs/{job['id']}/artifacts/input").content == png()
    api.http.post(job["links"]["cancel"])
    assert api.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert not api.context.files.storage.exists(f"inputs/{job['request']['image']['sha256']}")


def test_keys_of_repeats_hold(api: Api) -> None:
    body = {"image": {"file_id": api.send(png())}}
    header = {"Idempotency-Key": "k"}
    ids = {api.http.post("/v1/denoise", json=body, headers=header).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    assert_problem(api.http.post("/v1/denoise", json=body | {"seed": 1}, headers=header), "idempotency_key_reused")


def test_batches_are_kept_with_their_problems(api: Api) -> None:
    item = {"image": {"file_id": api.send(png())}, "mask": {"file_id": api.send(hole())}}
    body = {"task": "inpaint", "items": [item, {"image": {"file_id": "file_none"}}]}
    first, again = (api.http.post("/v1/batches", json=body, headers={"Idempotency-Key": "b"}).json() for _ in range(2))
    assert first == again
    assert (first["counts"]["queued"], first["counts"]["refused"]) == (1, 1)
    assert len(api.http.get(f"/v1/batches/{first['id']}/jobs").json()["data"]) == 1


def test_pages_follow_each_other(api: Api) -> None:
    ids = [api.submit()["id"] for _ in range(3)]
    first = api.http.get("/v1/jobs", params={"limit": 2}).json()
    second = api.http.get("/v1/jobs", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [job["id"] for job in first["data"] + second["data"]] == ids[::-1]


def test_removed_jobs_are_remembered(api: Api) -> None:
    job = api.submit()
    api.http.post(job["links"]["cancel"])
    api.context.retention.sweep(database.now() + api.context.settings.retention_s + 5)
    assert_problem(api.http.get(job["links"]["self"]), "job_expired")


def test_figures_of_workers_are_added_up_and_folded(api: Api) -> None:
    engine = api.context.retention.engine
    for name, size in (("one", 2), ("two", 6)):
        metrics = EngineMetrics()
        metrics.batch("tiny", size, 0.1)
        MetricsWriter(engine, name, metrics).write()
    line = 'rediffuse_engine_batch_size_sum{prior="tiny"} 8.0'
    assert line in api.http.get("/metrics").text
    retire(engine, database.now() + 1)
    assert line in api.http.get("/metrics").text


def test_texts_that_a_database_would_not_keep_are_refused(api: Api) -> None:
    body = {"image": {"file_id": api.send(png())}, "client_ref": "a\0b"}
    assert_problem(api.http.post("/v1/denoise", json=body), "validation_failed", "/client_ref")
    assert_problem(api.http.get("/v1/jobs/%00"), "job_not_found")
    named = {"image": {"file_id": "a\0b"}}
    assert_problem(api.http.post("/v1/denoise", json=named), "file_not_found", "/image/file_id")
    assert_problem(api.http.get("/v1/jobs", params={"cursor": "WzEuMCwgIlx1MDAwMCJd"}), "validation_failed")
    fine = {
        "image": body["image"],
        "client_ref": "ünï 図",
        "metadata": {"k": "😀"},
    }
    assert api.http.post("/v1/denoise", json=fine).json()["client_ref"] == "ünï 図"
