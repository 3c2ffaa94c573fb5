"""Pictures that are sent once and named in many requests."""

import time

from api_schemas.images import FileInfo
from service import database
from tests.service.api import Api, MakeApi, assert_problem, png


def test_equal_bytes_are_one_file(idle: Api) -> None:
    first = idle.http.post("/v1/files", files={"file": ("a.png", png())})
    again = idle.http.post("/v1/files", files={"file": ("b.png", png())})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    info = FileInfo.model_validate(first.json())
    assert (info.width, info.height, info.mode, info.format, info.bit_depth) == (32, 24, "RGB", "PNG", 8)
    assert first.headers["location"] == f"/v1/files/{info.id}"
    assert idle.http.get(f"/v1/files/{info.id}").json() == again.json()
    assert idle.http.get(f"/v1/files/{info.id}/content").content == png()


def test_a_deleted_file_is_gone(idle: Api) -> None:
    file_id = idle.send(png())
    assert idle.http.delete(f"/v1/files/{file_id}").status_code == 204
    assert_problem(idle.http.get(f"/v1/files/{file_id}"), "file_not_found")
    assert_problem(idle.http.get(f"/v1/files/{file_id}/content"), "file_not_found")
    assert_problem(idle.http.delete(f"/v1/files/{file_id}"), "file_not_found")
    assert idle.http.post("/v1/files", files={"file": ("a.png", png())}).status_code == 201


def test_a_job_keeps_the_bytes_of_a_deleted_file(idle: Api) -> None:
    job = idle.submit()
    idle.http.delete(f"/v1/files/{job['request']['image']['file_id']}")
    assert idle.http.get(f"/v1/jobs/{job['id']}/artifacts/input").content == png()


def test_a_file_goes_when_its_time_is_over(idle: Api) -> None:
    response = idle.http.post("/v1/files", files={"file": ("a.png", png())}, data={"expires_in": "0.05"})
    time.sleep(0.1)
    file_id = response.json()["id"]
    assert_problem(idle.http.get(f"/v1/files/{file_id}"), "file_not_found")
    assert idle.context.files.expire(database.now()) == 1
    assert not idle.context.files.storage.exists(f"inputs/{response.json()['sha256']}")


def test_use_keeps_a_file(idle: Api) -> None:
    response = idle.http.post("/v1/files", files={"file": ("a.png", png())}, data={"expires_in": "5"})
    file_id = response.json()["id"]
    idle.submit(image={"file_id": file_id})
    assert idle.http.get(f"/v1/files/{file_id}").json()["expires_at"] > response.json()["expires_at"]


def test_a_lost_blob_is_no_file(idle: Api) -> None:
    file_id = idle.send(png())
    stored = idle.context.files.get("local", file_id)
    assert stored is not None
    idle.context.files.storage.delete(f"inputs/{stored.sha256}")
    assert_problem(idle.http.get(f"/v1/files/{file_id}/content"), "file_not_found")
    named = {"image": {"file_id": file_id}}
    assert_problem(idle.http.post("/v1/denoise", json=named), "file_not_found", "/image/file_id")


def test_refused_files(make_api: MakeApi) -> None:
    api = make_api(max_file_bytes=100_000)
    post = api.http.post
    picture = ("a.png", png())
    assert_problem(post("/v1/files", files={"file": ("a", b"text")}), "unsupported_image", "/file")
    assert_problem(post("/v1/files", files={"file": ("a", b"x" * 100_001)}), "file_too_large", "/file")
    assert_problem(post("/v1/files", files={"file": ("a", b"x" * 3_000_000)}), "file_too_large")
    assert_problem(post("/v1/files", files={"image": picture}), "validation_failed", "/image")
    assert_problem(post("/v1/files", files={"file": (None, "text")}), "validation_failed", "/file")
    assert_problem(post("/v1/files", json={}), "unsupported_media_type")
    for value in ("0", "nan", "x", "1e12"):
        refused = post("/v1/files", files={"file": picture}, data={"expires_in": value})
        assert_problem(refused, "validation_failed", "/expires_in")
