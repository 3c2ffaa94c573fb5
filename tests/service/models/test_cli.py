"""The commands as a user runs them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDPMScheduler

from priors.manifest import read_fields
from priors.shelf import Shelf
from priors.weights import WEIGHTS
from service.models import check as check_module
from service.settings import Settings
from tests.priors.conversion.test_convert import STATE
from tests.priors.unets import random_unet_of
from tests.service.models.conftest import Run
from tests.service.models.fake_hub import REPOSITORY, REVISION, running_hub


@pytest.fixture
def diffusers_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "faces"
    random_unet_of({"sample_size": 16}).save_pretrained(folder)
    DDPMScheduler().save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_convert_makes_a_prior_of_a_file(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save(STATE, "ü faces.pt")
    Path("json.py").write_text("raise SystemExit('a module of the current folder was imported')")
    declared = {"licence": "research only: FFHQ", "symmetries": "mirror", "source": "a page – of théirs"}
    options = [word for key, value in declared.items() for word in (f"--{key}", value)]
    result = run("convert", "ü faces.pt", "faces", "--layout", "adm-ffhq", *options)
    assert result.stdout == f"faces is in {tmp_path / 'models'}: pixel, eps, noise levels 0.01 to 157.4\n"
    assert result.stderr == "Next: `rediffuse-priors check faces`\n"
    fields = read_fields(tmp_path / "models" / "faces")
    assert {key: fields[key] for key in declared} == declared
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["faces"]
    assert "faces already" in run("convert", "ü faces.pt", "faces", "--licence", "MIT", status=1).stderr


def test_adopt_writes_the_manifest_where_the_folder_lies(
    run: Run, diffusers_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(diffusers_folder)
    run("adopt", ".", "--licence", "MIT", "--symmetries", "mirror", "--source", "a page")
    fields = read_fields(diffusers_folder)
    assert (fields["licence"], fields["symmetries"], fields["source"]) == ("MIT", "mirror", "a page")
    again = run("adopt", diffusers_folder, "--licence", "MIT", status=1)
    assert again.stderr == "Error: prior faces has a prior.json already\n"
    assert "there is no folder" in run("adopt", "nothing", "--licence", "MIT", status=1).stderr


def test_a_folder_that_the_service_does_not_see_is_told(
    run: Run, diffusers_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIFFUSE_MODELS_DIR", str(tmp_path / "others"))
    told = run("adopt", diffusers_folder, "--licence", "MIT").stderr
    assert f"REDIFFUSE_MODELS_DIR={tmp_path / 'models'}\n" in told
    assert f"Next: `rediffuse-priors check faces --models {tmp_path / 'models'}`" in told


@pytest.mark.slow
def test_fetch_names_the_prior_as_the_hub_does(diffusers_folder: Path, tmp_path: Path) -> None:
    """A process of its own: the library reads HF_ENDPOINT when it is imported."""
    command = [sys.executable, "-c", "from service.models.cli import app; app()", "fetch", f"{REPOSITORY}@{REVISION}"]
    with running_hub() as hub:
        hub.files = {path.name: path.read_bytes() for path in diffusers_folder.iterdir()}
        environment = os.environ | {"HF_ENDPOINT": hub.url, "REDIFFUSE_MODELS_DIR": str(tmp_path / "own")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"tiny_faces is in {tmp_path / 'own'}")
    assert [info.name for info in Shelf(tmp_path / "own").manifests()] == ["tiny_faces"]


def test_list_shows_every_prior_and_what_is_wrong_with_it(run: Run, models: Path, diffusers_folder: Path) -> None:
    (models / "torn").mkdir()
    (models / "torn" / "prior.json").write_text("{")
    default = Settings().default_prior
    shown = run("list").stdout
    for words in (f"{default} *", "pixel, edm", "0.005 to 80", "any, by 8", "unusable: prior torn: prior.json is not"):
        assert words in shown
    listed = {prior["name"]: prior for prior in json.loads(run("list", "--json").stdout)}
    assert set(listed) == {"denoiser-v4", "natural-v0", default, "open-v1", "tiny", "torn", "faces"}
    assert [name for name, prior in listed.items() if prior["is_default"]] == [default]
    assert [name for name, prior in listed.items() if prior["reason"]] == ["torn", "faces"]
    assert listed["tiny"]["licence"] == "public domain"


def test_check_tells_every_figure_and_fails_where_one_does(
    run: Run, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tiny` is not trained: it loads, and nothing else is right."""
    monkeypatch.setattr(check_module, "CROPS", 1)
    monkeypatch.setattr(check_module, "CONVOLUTIONAL_SIDE", 32)
    shown = run("check", "tiny", status=1).stdout
    assert "PASS weights: their SHA-256 is right" in shown and "FAIL slope" in shown
    assert "127.5" in shown
    report = json.loads(run("check", "tiny", "--json", status=1).stdout)
    assert (report["prior"], report["passed"], len(report["levels"])) == ("tiny", False, 6)


def test_an_error_is_one_line_and_json_where_that_is_asked(run: Run, models: Path, tmp_path: Path) -> None:
    (models / "tiny" / WEIGHTS).write_bytes(b"other")
    failed = run("check", "tiny", "--json", status=1)
    assert json.loads(failed.stdout)["error"].startswith("prior tiny: diffusion_pytorch_model.safetensors has the")
    assert failed.stderr.count("\n") == 1
    assert "has no photograph" in run("check", Settings().default_prior, "--images", tmp_path, status=1).stderr


def test_card_writes_what_is_missing_and_prints_it(run: Run, models: Path) -> None:
    shown = run("card", "tiny").stdout
    assert shown.splitlines()[0] == "Licence of the weights: public domain."
    path = models / "tiny" / "README.md"
    assert path.read_text().strip() == shown.strip()
    path.write_text("Licence of the weights: old.\n")
    assert run("card", "tiny").stdout == "Licence of the weights: old.\n"
    assert "public domain" in run("card", "tiny", "--write").stdout
    assert "Asked." in run("card", "tiny", "--note", "Asked.").stdout
    bundled = run("card", Settings().default_prior).stdout
    assert bundled.startswith(("Research use only: ", "Licence of the weights: "))
    assert "training.json: No such file" in run("card", "tiny", "--run", models, status=1).stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["convert", "x.pt", "faces"],
        ["convert", "x.pt", "faces", "--licence", "MIT", "--symmetries", "all"],
        ["adopt"],
        ["check", "tiny", "--class-label", "x"],
        ["unknown"],
    ],
    ids=" ".join,
)
def test_wrong_usage_has_its_own_status(run: Run, arguments: list[str]) -> None:
    run(*arguments, status=2)


def test_wrong_settings_are_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIFFUSE_PORT", "many")
    assert "REDIFFUSE_PORT" in run("list", status=1).output
