"""Many pictures in one request."""

from typing import Any

from api_schemas.jobs import Batch
from api_schemas.requests import REQUESTS
from service.batches import PARAMETERS
from tests.service.api import Api, MakeApi, assert_problem, hole, png


def create(api: Api, items: list[dict[str, Any]], key: str | None = None, **fields: Any) -> Any:
    headers = {"Idempotency-Key": key} if key else {}
    return api.http.post("/v1/batches", json={"task": "denoise", "items": items} | fields, headers=headers)


def pictures(api: Api, count: int) -> list[dict[str, Any]]:
    return [{"image": {"file_id": api.send(png(seed=seed))}} for seed in range(count)]


def test_each_item_has_its_own_mask_and_options(idle: Api) -> None:
    items = pictures(idle, 2)
    for index, item in enumerate(items):
        item |= {"mask": {"file_id": idle.send(hole())}, "params": {"seed": index}, "client_ref": f"{index}.png"}
    response = create(idle, items, task="inpaint", defaults={"preset": "quality", "seed": 9}, priority="low")
    batch = Batch.model_validate(response.json())
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/batches/{batch.id}"
    assert (batch.counts["queued"], batch.counts["refused"]) == (2, 0)
    for index, outcome in enumerate(batch.items):
        job = idle.http.get(f"/v1/jobs/{outcome.job_id}").json()
        assert (outcome.client_ref, job["client_ref"], job["batch_id"]) == (f"{index}.png", f"{index}.png", batch.id)
        assert (job["request"]["seed"], job["request"]["preset"], job["priority"]) == (index, "quality", "low")


def test_a_refused_item_does_not_hold_the_others_back(idle: Api) -> None:
    good = pictures(idle, 1)[0]
    bad = [
        {"image": {"file_id": "file_none"}},
        good | {"params": {"params": {"steps": 0}}},
        good | {"params": {"prior": "none"}},
        good | {"mask": {"file_id": idle.send(hole())}},
    ]
    batch = create(idle, [good, *bad]).json()
    assert (batch["counts"]["queued"], batch["counts"]["refused"]) == (1, 4)
    codes = [item["problem"] and item["problem"]["code"] for item in batch["items"]]
    assert codes == [None, "file_not_found", "validation_failed", "unknown_prior", "validation_failed"]
    pointers = [item["problem"]["errors"][0]["pointer"] for item in batch["items"][1:]]
    assert pointers == [
        "/items/1/image/file_id",
        "/items/2/params/params/steps",
        "/items/3/params/prior",
        "/items/4/mask",
    ]


def test_an_option_of_all_items_is_refused_where_it_stands(idle: Api) -> None:
    batch = create(idle, pictures(idle, 1), defaults={"params": {"steps": 0}, "a/b": 1}).json()
    pointers = {each["pointer"] for each in batch["items"][0]["problem"]["errors"]}
    assert pointers == {"/defaults/params/steps", "/defaults/a~1b"}


def test_a_parameter_of_the_solver_is_told_where_it_belongs(idle: Api) -> None:
    item = pictures(idle, 1)[0]
    batch = create(idle, [item | {"params": {"sweeps": 3}}, item | {"params": {"sweepz": 3}}, item]).json()
    problems = [outcome["problem"] for outcome in batch["items"]]
    assert [each["pointer"] for each in problems[0]["errors"]] == ["/items/0/params/sweeps"]
    assert problems[0]["errors"][0]["detail"].endswith("goes to /items/0/params/params/sweeps")
    assert "/items/0/params/params/sweeps" in problems[0]["detail"]
    assert problems[1]["detail"] == "/items/1/params/sweepz: Extra inputs are not permitted"
    assert problems[2] is None
    batch = create(idle, [item, item | {"params": {"params": 3}}], defaults={"sweeps": 3}).json()
    assert batch["items"][0]["problem"]["errors"][0]["detail"].endswith("goes to /defaults/params/sweeps")
    of_shape = [each["pointer"] for each in batch["items"][1]["problem"]["errors"]]
    assert set(of_shape) == {"/defaults/sweeps", "/items/1/params/params"}


def test_a_solver_has_no_parameter_that_is_named_like_an_option() -> None:
    """Else what is told about it could be wrong."""
    assert not PARAMETERS & {name for model in REQUESTS.values() for name in model.model_fields}


def test_a_batch_of_refused_items_only(idle: Api) -> None:
    batch = create(idle, [{"image": {"file_id": "file_none"}}]).json()
    assert batch["counts"] == {
        "queued": 0,
        "running": 0,
        "succeeded": 0,
        "failed": 0,
        "canceled": 0,
        "expired": 0,
        "refused": 1,
    }


def test_a_batch_runs(api: Api) -> None:
    batch = create(api, pictures(api, 3)).json()
    for item in batch["items"]:
        api.finish(item["job_id"])
    assert api.http.get(f"/v1/batches/{batch['id']}").json()["counts"]["succeeded"] == 3


def test_jobs_of_a_batch_are_listed_in_pages(idle: Api) -> None:
    idle.submit()
    batch = create(idle, pictures(idle, 3)).json()
    path = f"/v1/batches/{batch['id']}/jobs"
    first = idle.http.get(path, params={"limit": 2}).json()
    second = idle.http.get(path, params={"limit": 2, "cursor": first["next_cursor"]}).json()
    listed = [job["id"] for job in first["data"] + second["data"]]
    assert sorted(listed) == sorted(item["job_id"] for item in batch["items"])
    assert idle.http.get(path, params={"status": "failed"}).json()["data"] == []
    assert_problem(idle.http.get(path, params={"cursor": "x"}), "validation_failed", "/query/cursor")


def test_cancel_ends_every_job(idle: Api) -> None:
    batch = create(idle, pictures(idle, 3)).json()
    response = idle.http.post(f"/v1/batches/{batch['id']}/cancel")
    assert (response.status_code, response.json()["counts"]["canceled"]) == (202, 3)


def test_a_repeat_gets_the_first_batch(idle: Api) -> None:
    items = pictures(idle, 2)
    first = create(idle, items, "k").json()
    assert create(idle, items, "k").json() == first
    assert_problem(create(idle, items[:1], "k"), "idempotency_key_reused")
    assert sum(idle.context.queue.depth().queued.values()) == 2


def test_a_repeat_after_a_crash_finds_the_jobs_of_the_first(idle: Api) -> None:
    """The API died between the jobs and the batch."""
    items = pictures(idle, 2)
    first = create(idle, items, "k").json()
    with idle.context.batches.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM batches")
    assert create(idle, items, "k").json()["items"] == first["items"]
    assert sum(idle.context.queue.depth().queued.values()) == 2


def test_refused_batches(make_api: MakeApi) -> None:
    api = make_api(max_batch_items=2, max_queued=1)
    items = pictures(api, 3)
    assert_problem(create(api, items), "batch_too_large")
    assert_problem(create(api, items[:2]), "queue_full")
    assert_problem(create(api, []), "validation_failed", "/items")
    assert_problem(create(api, [{"image": {}}]), "validation_failed", "/items/0/image")
    assert_problem(create(api, items[:1], task="x"), "validation_failed", "/task")
    assert_problem(api.http.post("/v1/batches", content=b"x"), "unsupported_media_type")
    for path in ("", "/jobs"):
        assert_problem(api.http.get(f"/v1/batches/none{path}"), "batch_not_found")
    assert_problem(api.http.post("/v1/batches/none/cancel"), "batch_not_found")
