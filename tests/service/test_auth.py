"""API keys, and the refusal to be open to the world without any."""

import pytest

from service.app import create_app
from service.auth import InsecureSettings, KeyRing, check_exposure
from service.settings import Settings
from tests.service.api import Api, MakeApi, assert_problem, png, settings_in


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org", ""])
def test_an_open_address_needs_keys(host: str) -> None:
    with pytest.raises(InsecureSettings):
        check_exposure(Settings(host=host))
    check_exposure(Settings(host=host, api_keys=["ann:secret"]))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_the_own_machine_needs_none(host: str) -> None:
    check_exposure(Settings(host=host))


def test_the_application_refuses_to_be_made(tmp_path) -> None:
    with pytest.raises(InsecureSettings):
        create_app(settings_in(tmp_path, host="0.0.0.0"))


@pytest.mark.parametrize("keys", [["secret"], [":secret"], ["ann:"], ["ann:a", "ann:b"]])
def test_a_key_has_a_name_and_a_secret(keys: list[str]) -> None:
    with pytest.raises(InsecureSettings) as caught:
        KeyRing(keys)
    assert "secret" not in str(caught.value)


def test_an_admin_is_one_of_the_keys() -> None:
    ring = KeyRing(["ann:a", "bob:b"], ["ann"])
    assert ring.is_admin("ann") and not ring.is_admin("bob")
    assert not KeyRing(["ann:a"]).is_admin("ann")  # nobody was named
    assert KeyRing([]).is_admin("local")
    with pytest.raises(InsecureSettings, match="eve"):
        KeyRing(["ann:a"], ["ann", "eve"])


def test_secrets_are_not_kept() -> None:
    assert b"tiptop" not in repr(vars(KeyRing(["ann:tiptop"]))).encode()


def test_requests_without_the_key_are_refused(make_api: MakeApi) -> None:
    http = make_api(api_keys=["ann:one", "bob:two:three"]).http
    response = http.get("/v1/jobs")
    assert_problem(response, "missing_credentials")
    assert response.headers["www-authenticate"] == "Bearer"
    assert_problem(http.get("/v1/jobs", headers={"Authorization": "Basic one"}), "missing_credentials")
    for wrong in ("two", "ann:one", "ONE", "é"):
        header = {"Authorization": f"Bearer {wrong}".encode()}
        assert_problem(http.get("/v1/jobs", headers=header), "invalid_credentials")
    for right in ("one", "two:three"):
        assert http.get("/v1/jobs", headers={"Authorization": f"Bearer {right}"}).status_code == 200


def test_what_belongs_to_another_is_not_there(make_api: MakeApi) -> None:
    api = make_api(api_keys=["ann:one", "bob:two"])
    ann, bob = ({"Authorization": f"Bearer {secret}"} for secret in ("one", "two"))
    file_id = api.http.post("/v1/files", files={"file": ("a", png())}, headers=ann).json()["id"]
    item = {"image": {"file_id": file_id}}
    job_id = api.http.post("/v1/denoise", json=item, headers=ann | {"Idempotency-Key": "k"}).json()["id"]
    batch_id = api.http.post("/v1/batches", json={"task": "denoise", "items": [item]}, headers=ann).json()["id"]
    for path in ("", "/events", "/result", "/artifacts/input"):
        assert_problem(api.http.get(f"/v1/jobs/{job_id}{path}", headers=bob), "job_not_found")
    for action in ("cancel", "retry"):
        assert_problem(api.http.post(f"/v1/jobs/{job_id}/{action}", headers=bob), "job_not_found")
    assert_problem(api.http.delete(f"/v1/jobs/{job_id}", headers=bob), "job_not_found")
    assert_problem(api.http.get(f"/v1/files/{file_id}", headers=bob), "file_not_found")
    assert_problem(api.http.get(f"/v1/batches/{batch_id}", headers=bob), "batch_not_found")
    assert_problem(api.http.post("/v1/denoise", json=item, headers=bob), "file_not_found")
    assert api.http.get("/v1/jobs", headers=bob).json()["data"] == []
    own = api.http.post("/v1/files", files={"file": ("a", png())}, headers=bob)
    assert (own.status_code, own.json()["id"] == file_id) == (201, False)
    mine = api.http.post(
        "/v1/denoise", json={"image": {"file_id": own.json()["id"]}}, headers=bob | {"Idempotency-Key": "k"}
    )
    assert (mine.status_code, mine.json()["id"] == job_id) == (202, False)


def test_a_deleted_file_of_one_stays_for_the_other(make_api: MakeApi) -> None:
    api = make_api(api_keys=["ann:one", "bob:two"])
    ann, bob = ({"Authorization": f"Bearer {secret}"} for secret in ("one", "two"))
    ids = [api.http.post("/v1/files", files={"file": ("a", png())}, headers=who).json()["id"] for who in (ann, bob)]
    api.http.delete(f"/v1/files/{ids[0]}", headers=ann)
    assert api.http.get(f"/v1/files/{ids[1]}/content", headers=bob).content == png()


def test_owner_without_keys(idle: Api) -> None:
    record = idle.context.queue.get(idle.submit()["id"])
    assert record is not None
    assert record.owner == "local"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "0.0.0.0", "[", ""])
def test_another_name_of_this_machine_is_refused(idle: Api, host: str) -> None:
    """DNS rebinding: the page's own name leads here, so the browser takes us for the page's own server."""
    assert_problem(idle.http.get("/v1/jobs", headers={"Host": host}), "foreign_origin", "/header/host")


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:80", "[::1]:8000"])
def test_the_names_of_this_machine_are_served(idle: Api, host: str) -> None:
    assert idle.http.get("/v1/jobs", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1.evil.example", "http://[", ""])
def test_forms_of_foreign_pages_are_refused(idle: Api, origin: str) -> None:
    sent = {"files": {"image": ("a", png())}, "headers": {"Origin": origin}}
    assert_problem(idle.http.post("/v1/denoise", **sent), "foreign_origin", "/header/origin")
    assert idle.http.get("/v1/jobs").json()["data"] == []


def test_a_foreign_page_is_known_without_its_origin_too(idle: Api) -> None:
    crossing = {"Sec-Fetch-Site": "cross-site"}
    refused = idle.http.post("/v1/denoise", files={"image": ("a", png())}, headers=crossing)
    assert_problem(refused, "foreign_origin", "/header/sec-fetch-site")
    assert idle.http.get("/v1/jobs", headers=crossing).status_code == 200  # a link may lead here


def test_pages_of_this_machine_may_ask(idle: Api) -> None:
    headers = {"Origin": "http://localhost:8000", "Sec-Fetch-Site": "same-origin"}
    assert idle.http.post("/v1/denoise", files={"image": ("a", png())}, headers=headers).status_code == 202


def test_with_keys_the_key_decides(make_api: MakeApi) -> None:
    http = make_api(api_keys=["ann:one"]).http
    headers = {"Authorization": "Bearer one", "Host": "photos.example", "Origin": "https://other.example"}
    assert http.post("/v1/denoise", files={"image": ("a", png())}, headers=headers).status_code == 202
