"""Jobs: create, list, look, cancel, retry, delete, and the waiting for them."""

import json
import time
from typing import Any

import pytest

from api_schemas.jobs import Job, JobList
from service import database
from service.idempotency import identifier
from tests.service.api import Api, MakeApi, add_latent_prior, assert_problem, hole, png


def create(api: Api, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    sent = {"task": "denoise", "image": {"file_id": api.send(png())}} | fields
    return api.http.post("/v1/jobs", json=sent, headers=headers)


def test_a_job_runs_to_its_end(api: Api) -> None:
    job = Job.model_validate(api.run(metadata={"album": "1974"}, client_ref="r"))
    assert job.status == "succeeded"
    assert (job.attempt, job.error, job.queue, job.metadata) == (1, None, None, {"album": "1974"})
    assert job.result is not None
    assert job.result.warnings[0].code == "copied"
    assert [each.name for each in job.result.artifacts] == ["result", "input"]
    assert job.timings is not None
    assert job.timings.denoiser_calls == 2
    assert job.started_at is not None
    assert job.finished_at is not None
    assert job.created_at <= job.started_at <= job.finished_at < (job.expires_at or "")
    assert job.request["parameters"] == {"steps": 2}


def test_every_task_can_be_created_at_one_address(idle: Api) -> None:
    mask = {"file_id": idle.send(hole())}
    assert create(idle).json()["task"] == "denoise"
    assert create(idle, task="inpaint", mask=mask).json()["task"] == "inpaint"
    assert create(idle, task="super_resolution", scale=2).json()["task"] == "super_resolution"
    kernel = {"kind": "box", "size": 3}
    assert create(idle, task="deblur", kernel=kernel).json()["task"] == "deblur"
    measured = {"task": "restore", "measurement": mask, "operator": {"kind": "blur", "kernel": kernel}}
    assert idle.http.post("/v1/jobs", json=measured).json()["task"] == "restore"
    assert_problem(create(idle, task="apply", operator={"kind": "grey"}), "validation_failed", "/task")
    assert_problem(create(idle, mask=mask), "validation_failed", "/mask")
    assert_problem(create(idle, task="inpaint", mask={"file_id": 3}), "validation_failed", "/mask/file_id")


def test_lists_are_newest_first_and_paged(idle: Api) -> None:
    ids = [create(idle).json()["id"] for _ in range(5)]
    pages: list[str] = []
    cursor: str | None = None
    for _ in range(3):
        page = JobList.model_validate(
            idle.http.get("/v1/jobs", params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        )
        pages += [job.id for job in page.data]
        cursor = page.next_cursor
        create(idle)  # a new job shifts nothing
    assert pages == ids[::-1]
    assert (cursor, page.has_more) == (None, False)


def test_lists_are_filtered(idle: Api) -> None:
    denoise = create(idle).json()["id"]
    other = create(idle, task="super_resolution").json()["id"]
    idle.http.post(f"/v1/jobs/{other}/cancel")
    ids = lambda **filters: [job["id"] for job in idle.http.get("/v1/jobs", params=filters).json()["data"]]  # noqa: E731
    assert ids(task="denoise") == ids(status="queued") == [denoise]
    assert ids(status="canceled") == [other]
    assert ids(batch_id="none") == []


def test_a_list_with_wrong_parameters_is_refused(idle: Api) -> None:
    for name, value in {"cursor": "x", "limit": "0", "status": "lost", "task": "x", "batch_id": "\0"}.items():
        assert_problem(idle.http.get("/v1/jobs", params={name: value}), "validation_failed", f"/query/{name}")
    for forged in ("WzFd", "WyJhIiwiYiJd", "W05hTiwiYSJd", "eyJhIjoxLCJiIjoyfQ==", "WzEuMCwgIlx1ZDgwMCJd"):
        assert_problem(idle.http.get("/v1/jobs", params={"cursor": forged}), "validation_failed", "/query/cursor")


def test_an_unchanged_job_is_not_sent_again(idle: Api) -> None:
    path = f"/v1/jobs/{create(idle).json()['id']}"
    etag = idle.http.get(path).headers["etag"]
    assert etag.startswith('"')
    same = idle.http.get(path, headers={"If-None-Match": etag})
    assert (same.status_code, same.content, same.headers["etag"]) == (304, b"", etag)
    idle.http.post(path + "/cancel")
    changed = idle.http.get(path, headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != etag


def test_a_long_poll_ends_with_the_job(api: Api) -> None:
    job = api.submit()
    assert api.http.get(f"/v1/jobs/{job['id']}", params={"wait": 30}).json()["status"] == "succeeded"
    assert_problem(api.http.get(f"/v1/jobs/{job['id']}?wait=-1"), "validation_failed", "/query/wait")
    assert_problem(api.http.get(f"/v1/jobs/{job['id']}?wait=nan"), "validation_failed", "/query/wait")


def test_a_long_poll_ends_with_its_time(idle: Api) -> None:
    job_id = create(idle).json()["id"]
    assert idle.http.get(f"/v1/jobs/{job_id}", params={"wait": 0.2}).json()["status"] == "queued"


def test_prefer_wait_answers_with_the_ended_job(api: Api) -> None:
    response = create(api, {"Prefer": "respond-async, wait=3000"})
    assert (response.status_code, response.headers["preference-applied"]) == (200, "wait=60")
    assert response.json()["status"] == "succeeded"
    assert response.headers["location"] == response.json()["links"]["self"]


def test_prefer_wait_answers_202_when_the_time_is_over(idle: Api) -> None:
    response = create(idle, {"Prefer": "wait=1", "Accept": "image/png"})
    assert (response.status_code, response.json()["status"]) == (202, "queued")


def test_prefer_wait_can_answer_with_the_picture_itself(api: Api) -> None:
    response = create(api, {"Prefer": "wait=30", "Accept": "image/webp"})
    assert (response.status_code, response.headers["content-type"]) == (200, "image/webp")
    assert response.content[8:12] == b"WEBP"
    failed = create(api, {"Prefer": "wait=30", "Accept": "image/png"}, metadata={"do": "fail"})
    assert_problem(failed, "job_failed")


def test_a_repeat_gets_the_first_answer(idle: Api) -> None:
    first = create(idle, {"Idempotency-Key": "k"}).json()["id"]
    assert create(idle, {"Idempotency-Key": "k"}).json()["id"] == first
    assert create(idle, {"Idempotency-Key": "l"}).json()["id"] != first
    assert_problem(create(idle, {"Idempotency-Key": "k"}, seed=1), "idempotency_key_reused")
    assert_problem(create(idle, {"Idempotency-Key": "k" * 256}), "validation_failed", "/header/Idempotency-Key")
    assert sum(idle.context.queue.depth().queued.values()) == 2


def test_a_repeat_of_an_ended_job_gets_its_result(api: Api) -> None:
    first = create(api, {"Idempotency-Key": "ended", "Prefer": "wait=30"}).json()
    again = create(api, {"Idempotency-Key": "ended", "Prefer": "wait=30"}).json()
    assert again == first


def test_a_repeat_that_overtakes_its_first_is_told_to_wait(idle: Api) -> None:
    with idle.context.submissions.in_flight.held(identifier("job", "local", "busy")):
        response = create(idle, {"Idempotency-Key": "busy"})
        assert_problem(response, "idempotency_in_progress")
        assert response.headers["retry-after"] == "1"
    assert create(idle, {"Idempotency-Key": "busy"}).status_code == 202


def test_cancel_of_a_waiting_job_is_final_and_repeatable(idle: Api) -> None:
    job_id = create(idle).json()["id"]
    for _ in range(2):
        response = idle.http.post(f"/v1/jobs/{job_id}/cancel")
        assert (response.status_code, response.json()["status"]) == (200, "canceled")
    assert idle.http.get(f"/v1/jobs/{job_id}").json()["error"] is None
    assert_problem(idle.http.get(f"/v1/jobs/{job_id}/result"), "job_canceled")
    assert 'jobs_finished_total{code="",status="canceled",task="denoise"} 1.0' in idle.http.get("/metrics").text


def test_cancel_of_a_running_job_stops_it(api: Api) -> None:
    job = api.submit("hang")
    while api.http.get(f"/v1/jobs/{job['id']}").json()["status"] == "queued":
        time.sleep(0.05)
    assert_problem(api.http.delete(f"/v1/jobs/{job['id']}"), "job_not_terminal")
    response = api.http.post(f"/v1/jobs/{job['id']}/cancel")
    assert response.status_code in (200, 202)
    assert response.json()["cancel_requested"] is True
    assert api.finish(job["id"])["status"] == "canceled"


def test_a_failed_job_carries_its_problem(api: Api) -> None:
    job = api.run("fail")
    assert (job["status"], job["error"]["code"], job["result"]) == ("failed", "solver_diverged", None)
    assert job["error"]["instance"] == job["links"]["self"]


def test_a_retry_is_a_new_job_with_the_same_seed(api: Api) -> None:
    failed = api.run("fail", seed=5)
    response = api.http.post(f"/v1/jobs/{failed['id']}/retry")
    again = response.json()
    assert response.status_code == 202
    assert (again["retry_of"], again["request"]["seed"]) == (failed["id"], 5)
    assert again["id"] != failed["id"]
    changes = {"seed": 6, "priority": "high", "params": {"sweeps": 9}}
    changed = api.http.post(f"/v1/jobs/{failed['id']}/retry", json=changes).json()
    assert (changed["request"]["seed"], changed["priority"], changed["request"]["params"]["sweeps"]) == (6, "high", 9)


def test_a_retry_may_not_ask_a_prior_on_latents_for_what_it_cannot_do(api: Api) -> None:
    add_latent_prior(api.context.settings)
    pictures = {"image": {"file_id": api.send(png())}, "mask": {"file_id": api.send(hole())}}
    job = api.finish(api.http.post("/v1/inpaint", json=pictures | {"prior": "sd"}).json()["id"])
    refused = api.http.post(f"/v1/jobs/{job['id']}/retry", json={"params": {"mode": "paper"}})
    assert_problem(refused, "incompatible_prior", "/prior")
    assert api.http.post(f"/v1/jobs/{job['id']}/retry").status_code == 202


def test_a_retry_takes_an_idempotency_key(api: Api) -> None:
    path = f"/v1/jobs/{api.run()['id']}/retry"
    ids = {api.http.post(path, headers={"Idempotency-Key": "again"}).json()["id"] for _ in range(2)}
    assert len(ids) == 1
    other = api.http.post(path, json={"seed": 1}, headers={"Idempotency-Key": "again"})
    assert_problem(other, "idempotency_key_reused")


def test_refused_retries(api: Api, idle: Api) -> None:
    waiting = create(idle).json()["id"]
    assert_problem(idle.http.post(f"/v1/jobs/{waiting}/retry"), "job_not_terminal")
    idle.http.post(f"/v1/jobs/{waiting}/cancel")
    record = idle.context.queue.get(waiting)
    assert record is not None
    assert_problem(idle.http.post(f"/v1/jobs/{waiting}/retry", json={"steps": 1}), "validation_failed", "/steps")
    idle.context.files.storage.delete(f"inputs/{record.request['image']['sha256']}")
    assert_problem(idle.http.post(f"/v1/jobs/{waiting}/retry"), "inputs_expired")


def test_a_deleted_job_is_gone_with_its_files(api: Api) -> None:
    job = api.run(image={"file_id": api.send(png(seed=77))})
    record = api.context.queue.get(job["id"])
    assert record is not None
    assert record.result is not None
    key = record.result["artifacts"][0]["key"]
    assert api.http.delete(f"/v1/jobs/{job['id']}").status_code == 204
    assert_problem(api.http.get(f"/v1/jobs/{job['id']}"), "job_not_found")
    assert not api.context.files.storage.exists(key)
    assert api.context.files.storage.exists(f"inputs/{job['request']['image']['sha256']}")  # the file is still there
    api.http.delete(f"/v1/files/{job['request']['image']['file_id']}")
    assert not api.context.files.storage.exists(f"inputs/{job['request']['image']['sha256']}")


def test_a_removed_job_is_told_from_an_unknown_one(api: Api) -> None:
    job = api.run()
    api.context.retention.sweep(database.now() + api.context.settings.retention_s + 5)
    for path in ("", "/result", "/events", "/artifacts/result"):
        assert_problem(api.http.get(f"/v1/jobs/{job['id']}{path}"), "job_expired")
    assert_problem(api.http.get("/v1/jobs/unknown"), "job_not_found")
    assert_problem(api.http.get("/v1/jobs/%00"), "job_not_found")


def test_a_job_past_its_deadline_expires(idle: Api) -> None:
    job_id = create(idle, deadline_s=0.01).json()["id"]
    time.sleep(0.05)
    assert idle.context.queue.expire_overdue() == [job_id]  # type: ignore[attr-defined]
    job = idle.http.get(f"/v1/jobs/{job_id}").json()
    assert (job["status"], job["error"]["code"]) == ("expired", "deadline_exceeded")
    assert_problem(idle.http.get(f"/v1/jobs/{job_id}/result"), "job_expired")


def test_waiting_jobs_know_their_place(idle: Api) -> None:
    create(idle)
    low = create(idle, priority="low").json()
    assert low["queue"]["position"] == 2
    assert create(idle, priority="high").json()["queue"]["position"] == 1
    assert idle.http.get(low["links"]["self"]).json()["queue"] == {"position": 3, "ahead": 2}


@pytest.mark.parametrize("header", ["wait", "wait=x", "wait=-1", "wait=1e3", "hold=5"])
def test_other_preferences_are_ignored(idle: Api, header: str) -> None:
    response = create(idle, {"Prefer": header})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


def test_json_keeps_a_large_seed(idle: Api) -> None:
    assert json.loads(create(idle, seed=2**63 - 1).text)["request"]["seed"] == 2**63 - 1
    assert_problem(create(idle, seed=2**63), "validation_failed", "/seed")


def test_limits_count_for_json_too(make_api: MakeApi) -> None:
    api = make_api(max_file_bytes=1000)
    big = {"task": "denoise", "image": {"data_url": "data:image/png;base64," + "A" * 2_000_000}}
    assert_problem(api.http.post("/v1/jobs", json=big), "file_too_large")
