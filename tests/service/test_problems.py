"""One shape of every problem."""

import json
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from fastapi.testclient import TestClient

from service import problems
from tests.service.api import Api, assert_problem, png


def test_unknown_addresses_and_methods(idle: Api) -> None:
    assert_problem(idle.http.get("/v1/nothing"), "not_found")
    response = idle.http.put("/v1/jobs", json={})
    assert_problem(response, "method_not_allowed")
    assert "POST" in response.headers["allow"] or "GET" in response.headers["allow"]
    assert_problem(idle.http.get("/v1/jobs/none"), "job_not_found")


def test_a_bug_tells_a_trace_id_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    app = FastAPI()
    problems.install(app)

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError("a secret of the server")

    with TestClient(app, raise_server_exceptions=False) as http:
        found = assert_problem(http.get("/bug"), "internal")
    assert "secret" not in json.dumps(found)
    trace_id = found["detail"].removeprefix("trace id ")
    logged = capsys.readouterr().out
    assert trace_id in logged
    assert "a secret of the server" in logged


def test_a_store_that_takes_nothing_is_no_bug(idle: Api, tmp_path: Path) -> None:
    """Root may write anywhere, so a file in place of the folder stands for a disk that is full."""
    (tmp_path / "blobs" / "inputs").write_text("in the way")
    refused = idle.http.post("/v1/denoise", files={"image": ("a", png())})
    assert_problem(refused, "storage_unavailable")
    assert refused.headers["retry-after"] == "10"
    assert str(tmp_path) not in refused.text
    assert idle.http.get("/v1/jobs").json()["data"] == []
    (tmp_path / "blobs" / "inputs").unlink()
    assert idle.http.post("/v1/denoise", files={"image": ("a", png())}).status_code == 202


def test_a_database_that_is_away_is_no_bug(idle: Api) -> None:
    with idle.context.files.engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE files"))
    assert_problem(idle.http.post("/v1/denoise", files={"image": ("a", png())}), "storage_unavailable")


@pytest.mark.parametrize(
    ("location", "sent", "kind", "expected"),
    [
        (("inpaint", "params", "steps"), {"params": {"steps": 0}}, "x", "/params/steps"),
        (("noise", "level", "sigma"), {"noise": {"sigma": 2}}, "x", "/noise/sigma"),
        (("items", 1, "image"), {"items": [{}, {}]}, "missing", "/items/1/image"),
        (("a/b~c",), {"a/b~c": 1}, "extra_forbidden", "/a~1b~0c"),
        ((), {}, "union_tag_not_found", "/task"),
        ((), [], "dict_type", ""),
    ],
)
def test_pointers_lead_into_what_was_sent(location: tuple, sent: object, kind: str, expected: str) -> None:
    assert problems.pointer(location, sent, kind) == expected


def test_declared_answers_have_an_example_of_each_code() -> None:
    declared = problems.responses("file_not_found", "job_not_found", "queue_full")
    assert set(declared) == {404, 503}
    assert set(declared[404]["content"]["application/problem+json"]["examples"]) == {"file_not_found", "job_not_found"}
