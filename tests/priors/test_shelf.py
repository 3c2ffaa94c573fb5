"""One name, one folder: own priors beside the bundled ones, and before them."""

import subprocess
import sys
from pathlib import Path

import pytest

from priors.manifest import PriorError
from priors.shelf import Shelf
from tests.priors.test_manifest import FIELDS, write


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    """`own` and `both` in the first folder, `both` and `bundled` in the second."""
    for home, name in (("own", "own"), ("own", "both"), ("bundled", "both"), ("bundled", "bundled")):
        write(tmp_path / home / name, FIELDS | {"licence": home})
    return Shelf(tmp_path / "own", tmp_path / "bundled")


def test_own_priors_stand_beside_the_bundled_ones_and_win(shelf: Shelf) -> None:
    found = {info.name: info.licence for info in shelf.manifests()}
    assert found == {"both": "own", "bundled": "bundled", "own": "own"}
    assert list(found) == sorted(found)
    assert {name: shelf.home(name).name for name in found} == found


def test_a_damaged_own_prior_is_not_replaced_in_silence(shelf: Shelf, caplog: pytest.LogCaptureFixture) -> None:
    (shelf.home("both") / "both" / "prior.json").write_text("{")
    assert [info.name for info in shelf.manifests()] == ["bundled", "own"]
    assert "prior both: prior.json is not valid JSON" in caplog.text
    assert shelf.home("both").name == "own"
    assert [folder.name for folder in shelf.folders()] == ["both", "bundled", "own"]


def test_only_folders_with_a_manifest_count(tmp_path: Path) -> None:
    write(tmp_path / "bundled" / "p", FIELDS)
    (tmp_path / "own" / "p").mkdir(parents=True)
    (tmp_path / "own" / "file").write_text("")
    shelf = Shelf(tmp_path / "own", tmp_path / "bundled", tmp_path / "absent")
    assert shelf.home("p").name == "bundled"
    assert shelf.folders() == [tmp_path / "bundled" / "p"]


def test_an_unknown_name_belongs_to_the_own_folder(shelf: Shelf) -> None:
    assert shelf.home("new").name == "own"


@pytest.mark.parametrize("name", ["", "..", "../own/own", "own/own", "/etc", "own\0", "Own", "a" * 5000])
def test_what_is_no_name_reaches_no_file(shelf: Shelf, name: str) -> None:
    with pytest.raises(PriorError, match="there is no prior named"):
        shelf.home(name)


def test_a_prior_put_there_later_is_seen(shelf: Shelf) -> None:
    write(shelf.models_dirs[0] / "later", FIELDS)
    assert "later" in [folder.name for folder in shelf.folders()]


def test_imports_no_torch() -> None:
    code = "import sys, priors.shelf; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
