"""`client.pictures`: what may be sent."""

import base64
import io
from pathlib import Path

import pytest

from client import ImageRef
from client.pictures import Upload, load, name_of


def test_paths_bytes_and_open_files_give_the_same_bytes(tmp_path: Path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"jpeg")
    with path.open("rb") as file:
        assert load(path) == load(str(path)) == load(file) == Upload("photo.jpg", b"jpeg")
    assert load(b"jpeg").content == load(io.BytesIO(b"jpeg")).content == b"jpeg"
    assert load(path).media_type == "image/jpeg"


def test_a_data_url_holds_the_bytes(tmp_path: Path):
    kind, content = Upload("a.png", b"\x00png").data_url.split(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(content) == b"\x00png"


def test_references_stay_references():
    assert load(ImageRef(file_id="f1")) == ImageRef(file_id="f1")


def test_a_text_file_handle_is_refused():
    with pytest.raises(TypeError, match="binary"):
        load(io.StringIO("text"))


def test_a_missing_file_is_named():
    with pytest.raises(FileNotFoundError, match="missing.png"):
        load("missing.png")


def test_only_paths_have_names():
    assert (name_of("a/b.png"), name_of(Path("b.png")), name_of(b"b")) == ("b.png", "b.png", None)
