"""What is removed when its time is over."""

import sqlalchemy as sa

from service import database
from tests.service.api import Api, assert_problem, png


def canceled(api: Api) -> str:
    job = api.submit()
    api.http.post(job["links"]["cancel"])
    return job["id"]


def test_ended_jobs_go_and_waiting_ones_stay(idle: Api) -> None:
    ended, waiting = canceled(idle), idle.submit()["id"]
    keep_s = idle.context.settings.retention_s
    assert idle.context.retention.sweep(database.now() + keep_s - 60) == 0
    assert idle.context.retention.sweep(database.now() + keep_s + 5) == 1
    assert_problem(idle.http.get(f"/v1/jobs/{ended}"), "job_expired")
    assert idle.http.get(f"/v1/jobs/{waiting}").json()["status"] == "queued"
    assert idle.http.get(f"/v1/jobs/{waiting}/artifacts/input").content == png()


def test_the_bytes_go_with_the_last_that_needs_them(idle: Api) -> None:
    canceled(idle)
    later = database.now() + idle.context.settings.retention_s + 5
    idle.context.retention.sweep(later)
    with idle.context.retention.engine.connect() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(database.files)).scalar() == 0
    assert list((idle.context.settings.data_dir / "blobs").rglob("inputs/*")) == []


def test_memory_of_removed_jobs_ends_too(idle: Api) -> None:
    ended = canceled(idle)
    keep_s = idle.context.settings.retention_s
    idle.context.retention.sweep(database.now() + keep_s + 5)
    idle.context.retention.sweep(database.now() + 6 * keep_s)
    assert_problem(idle.http.get(f"/v1/jobs/{ended}"), "job_not_found")


def test_old_batches_go(idle: Api) -> None:
    body = {"task": "denoise", "items": [{"image": {"file_id": "file_none"}}]}
    batch_id = idle.http.post("/v1/batches", json=body).json()["id"]
    idle.context.retention.sweep(database.now() + 5 * idle.context.settings.retention_s)
    assert_problem(idle.http.get(f"/v1/batches/{batch_id}"), "batch_not_found")
