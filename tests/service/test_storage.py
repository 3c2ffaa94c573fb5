"""Blobs in a folder."""

import hashlib
from pathlib import Path

import pytest

from service.storage import BlobMissing, Storage, artifact_key, input_key, job_prefix


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage((tmp_path / "new folder" / "blobs").as_uri())


def test_what_is_put_can_be_got(storage: Storage) -> None:
    assert storage.put("jobs/a/attempt-1/result.png", b"picture") == hashlib.sha256(b"picture").hexdigest()
    assert storage.get("jobs/a/attempt-1/result.png") == b"picture"


def test_inputs_lie_under_their_digest_once(storage: Storage, tmp_path: Path) -> None:
    first, second = storage.put_input(b"picture"), storage.put_input(b"picture")
    assert first == second == hashlib.sha256(b"picture").hexdigest()
    assert storage.get(input_key(first)) == b"picture"
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_missing_blob_is_told_apart(storage: Storage) -> None:
    assert not storage.exists("inputs/none")
    with pytest.raises(BlobMissing):
        storage.get("inputs/none")
    storage.delete("inputs/none")


def test_the_blobs_of_a_job_go_together_and_no_others(storage: Storage) -> None:
    mine = [artifact_key("one", attempt, "result.png") for attempt in (1, 2)]
    other = artifact_key("one-more", 1, "result.png")  # its id begins like the first
    for key in (*mine, other):
        storage.put(key, b"x")
    storage.delete_prefix(job_prefix("one"))
    assert not any(storage.exists(key) for key in mine)
    assert storage.exists(other)


def test_attempts_do_not_overwrite_each_other() -> None:
    assert artifact_key("a", 1, "result.png") != artifact_key("a", 2, "result.png")
