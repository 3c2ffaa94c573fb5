"""Ranges and tags (RFC 9110)."""

import pytest

from tests.service.api import Api, assert_problem, png


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [("bytes=0-9", 0, 9), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=3-9999999", 3, None)],
)
def test_a_part(idle: Api, asked: str, first: int, last: int | None) -> None:
    sent = png()
    response = idle.http.get(f"/v1/files/{idle.send(sent)}/content", headers={"Range": asked})
    part = sent[first : None if last is None else last + 1]
    start = first % len(sent)
    assert (response.status_code, response.content) == (206, part)
    assert response.headers["content-range"] == f"bytes {start}-{start + len(part) - 1}/{len(sent)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "lines=1-2", "bytes=-", "bytes=a-b", ""])
def test_the_whole_where_a_range_is_not_understood(idle: Api, asked: str) -> None:
    sent = png()
    response = idle.http.get(f"/v1/files/{idle.send(sent)}/content", headers={"Range": asked})
    assert (response.status_code, response.content) == (200, sent)
    assert response.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize("asked", ["bytes=999999-", "bytes=9-3", "bytes=-0"])
def test_a_range_outside_the_file(idle: Api, asked: str) -> None:
    sent = png()
    response = idle.http.get(f"/v1/files/{idle.send(sent)}/content", headers={"Range": asked})
    assert_problem(response, "range_not_satisfiable")
    assert response.headers["content-range"] == f"bytes */{len(sent)}"


def test_a_part_of_another_version_is_not_mixed_in(idle: Api) -> None:
    path = f"/v1/files/{idle.send(png())}/content"
    assert idle.http.get(path, headers={"Range": "bytes=0-3", "If-Range": '"old"'}).status_code == 200
    etag = idle.http.get(path).headers["etag"]
    assert idle.http.get(path, headers={"Range": "bytes=0-3", "If-Range": etag}).status_code == 206
