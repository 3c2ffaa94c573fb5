"""What a hostile client may try over HTTP."""

import json

import pytest

from tests.service.api import Api, MakeApi, assert_problem, png

HOSTILE = [
    "..",
    "../../etc/passwd",
    "%2e%2e%2fetc",
    "a b",
    "a\0b",
    "a" * 5000,
    "'; DROP TABLE jobs; --",
    "ü",
    "-",
    "\ud7ff",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_ids_are_looked_up_and_nothing_else(idle: Api, name: str) -> None:
    body = {"image": {"file_id": name}}
    answer = idle.http.post("/v1/denoise", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert answer.json()["code"] in ("file_not_found", "validation_failed")
    for field in ("prior", "solver"):
        body = {"image": {"file_id": idle.send(png())}, field: name}
        answer = idle.http.post("/v1/denoise", json=body)
        assert answer.json()["code"] in (f"unknown_{field}", "validation_failed")


def test_addresses_inside_the_network_are_not_fetched(idle: Api) -> None:
    for image in (
        {"url": "http://169.254.169.254/"},
        {"data_url": "http://127.0.0.1/"},
        {"data_url": "file:///etc/passwd"},
    ):
        refused = idle.http.post("/v1/denoise", json={"image": image})
        assert_problem(refused, "validation_failed")


def test_a_form_of_very_many_parts_is_refused(idle: Api) -> None:
    fields = {f"f{number}": "x" for number in range(2000)}
    assert_problem(idle.http.post("/v1/denoise", files={"image": ("a", png())}, data=fields), "malformed_request")
    files = [("image", (f"{number}", b"x")) for number in range(50)]
    assert_problem(idle.http.post("/v1/denoise", files=files), "malformed_request")


def test_a_form_field_of_many_bytes_is_refused(idle: Api) -> None:
    response = idle.http.post("/v1/denoise", files={"image": ("a", png())}, data={"client_ref": "x" * 2_000_000})
    assert_problem(response, "malformed_request")


def test_no_other_site_may_read_the_answers(idle: Api) -> None:
    origin = {"Origin": "https://evil.example"}
    assert "access-control-allow-origin" not in idle.http.get("/v1/jobs", headers=origin).headers
    preflight = idle.http.options("/v1/jobs", headers=origin | {"Access-Control-Request-Method": "POST"})
    assert preflight.status_code == 405


def test_bytes_of_clients_are_never_taken_for_something_else(idle: Api) -> None:
    response = idle.http.get(f"/v1/files/{idle.send(png())}/content")
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["content-type"] == "image/png"


def test_secrets_are_in_no_answer(make_api: MakeApi) -> None:
    http = make_api(api_keys=["ann:topsecret"]).http
    header = {"Authorization": "Bearer topsecret"}
    for path in ("/v1/info", "/openapi.json", "/metrics", "/v1/queue"):
        assert "topsecret" not in http.get(path, headers=header).text
    assert "wrongsecret" not in http.get("/v1/jobs", headers={"Authorization": "Bearer wrongsecret"}).text
