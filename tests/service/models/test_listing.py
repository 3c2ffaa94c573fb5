"""Every folder of the shelf is told, the unusable ones with the reason."""

import json
import subprocess
import sys
from pathlib import Path

from priors.shelf import Shelf
from priors.weights import WEIGHTS
from service.models.listing import Entry, entries
from tests.priors.test_manifest import FIELDS, write


def by_name(models: Path) -> dict[str, Entry]:
    return {entry.folder.name: entry for entry in entries(Shelf(models))}


def test_a_usable_prior_is_described(models: Path) -> None:
    entry = by_name(models)["tiny"]
    assert entry.info is not None and entry.info.native_size == 64
    assert entry.reason == ""
    assert entry.bytes == sum(path.stat().st_size for path in (models / "tiny").iterdir())
    described = entry.as_json()
    assert json.loads(json.dumps(described)) == described
    assert (described["kind"], described["licence"], described["reason"]) == ("pixel", "public domain", None)


def test_unusable_ones_say_why(models: Path) -> None:
    write(models / "torn", "{")
    write(models / "odd", FIELDS | {"parameterisation": "magic"})
    write(models / "bare", FIELDS)
    (models / "tiny" / "prior.json").rename(models / "tiny" / "kept.json")
    found = by_name(models)
    assert list(found) == ["bare", "odd", "torn", "tiny"]  # those that were never adopted come last
    for name, reason in {
        "torn": "is not valid JSON",
        "odd": "parameterisation 'magic' is not supported",
        "bare": "has no weights in safetensors",
        "tiny": f"`rediffuse-priors adopt {models / 'tiny'}` writes it",
    }.items():
        assert reason in found[name].reason
        assert found[name].as_json()["reason"] == found[name].reason
    assert found["tiny"].info is None


def test_other_folders_are_no_priors(models: Path) -> None:
    (models / "notes").mkdir()
    (models / "file").write_text("")
    (models / ".arriving-1" / "half" / "unet").mkdir(parents=True)
    (models / ".arriving-1" / "half" / "prior.json").write_text("{}")
    assert list(by_name(models)) == ["tiny"]


def test_the_weights_are_not_read(models: Path) -> None:
    (models / "tiny" / WEIGHTS).write_bytes(b"other")
    assert by_name(models)["tiny"].reason == ""


def test_imports_no_torch() -> None:
    code = (
        "import sys, service.models.cli; sys.exit(bool({'torch', 'huggingface_hub', 'diffusers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
