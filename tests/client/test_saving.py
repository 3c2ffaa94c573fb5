"""`client.saving`: the whole file or the old one."""

import os
from pathlib import Path

import pytest

from client.saving import write_atomically


def test_folders_are_made_and_files_replaced(tmp_path: Path):
    path = tmp_path / "new" / "a.png"
    assert write_atomically(path, b"one") == path
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two"
    assert os.listdir(path.parent) == ["a.png"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_atomically(tmp_path / "a.png", b"old")

    def disk_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


def test_the_usual_permissions(tmp_path: Path):
    (tmp_path / "usual").touch()
    assert write_atomically(tmp_path / "a", b"").stat().st_mode == (tmp_path / "usual").stat().st_mode
