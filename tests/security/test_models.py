"""Hostile files and names in the place of priors: refused in clear words, nothing of them run, nothing left behind."""

import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from priors.manifest import PriorError
from priors.store import load_prior
from priors.weights import WEIGHTS
from service.settings import BUNDLED_PRIORS, Settings
from tests.priors.conftest import models, unet
from tests.security.test_http_input import HOSTILE
from tests.service.api import Api, MakeApi, assert_problem
from tests.service.api import png as picture
from tests.service.models.conftest import Run, run
from tests.service.test_restoration import PIXELS, Bench, png

__all__ = ["models", "run", "unet"]

CPU = torch.device("cpu")
NAMES = ["", ".", "..", "../tiny", "tiny/../tiny", "/etc/passwd", "tiny/prior.json", "tiny\0", "Tiny", "t" * 5000, "~"]


class Hostile:
    """Its pickle makes a file where it is read."""

    def __init__(self, trap: Path):
        self.trap = trap

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.trap}",)


@pytest.fixture
def trap(tmp_path: Path) -> Iterator[Path]:
    """The file that code from a hostile file would make. It must not be there in the end."""
    path = tmp_path / "trap"
    yield path
    assert not path.exists()


def test_the_trap_works(tmp_path: Path) -> None:
    """Read without protection, such a file does run code: the tests below can fail."""
    data = pickle.dumps(Hostile(tmp_path / "sprung"))
    code = "import pickle, sys; pickle.load(sys.stdin.buffer)"
    subprocess.run([sys.executable, "-c", code], input=data, timeout=60, check=True)
    assert (tmp_path / "sprung").exists()


def declare(folder: Path, **changes: object) -> None:
    """Change `prior.json`; the digest becomes that of the weights that are there."""
    path = folder / "prior.json"
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"sha256": digest} | changes))


def configure(folder: Path, **changes: object) -> None:
    """Change `config.json`."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def error_of(run: Run, *arguments: str | Path) -> str:
    """The one line on standard error of a command that must fail."""
    lines = run(*arguments, status=1).stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("Error: "), lines
    return lines[0]


@pytest.mark.parametrize("archive", [True, False], ids=["archive", "pickle"])
def test_a_hostile_pickle_is_not_converted(run: Run, models: Path, tmp_path: Path, trap: Path, archive: bool) -> None:
    file = tmp_path / "evil.pt"
    content = {"time_embed.0.weight": torch.zeros(2), "evil": Hostile(trap)}
    torch.save(content, file) if archive else file.write_bytes(pickle.dumps(content))
    error = error_of(run, "convert", file, "evil", "--licence", "MIT")
    assert "evil.pt is no file of tensors alone" in error and "nothing of it was run" in error
    assert [path.name for path in models.iterdir()] == ["tiny"]


def test_a_pickle_under_the_name_of_safetensors_is_not_converted(
    run: Run, models: Path, tmp_path: Path, trap: Path
) -> None:
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Hostile(trap)))
    error = error_of(run, "convert", tmp_path / "evil.safetensors", "evil", "--licence", "MIT")
    assert "evil.safetensors is damaged, cut short or no safetensors file" in error
    assert [path.name for path in models.iterdir()] == ["tiny"]


def test_pickles_in_the_models_folder_are_never_read(run: Run, models: Path, trap: Path) -> None:
    weights = models / "tiny" / WEIGHTS
    weights.unlink()
    for name in ("diffusion_pytorch_model.bin", "pytorch_model.bin", "model.ckpt"):
        torch.save({"evil": Hostile(trap)}, weights.with_name(name))
    assert f"{WEIGHTS} cannot be read: No such file" in error_of(run, "check", "tiny")
    weights.write_bytes(pickle.dumps(Hostile(trap)))
    declare(models / "tiny")
    assert f"{WEIGHTS} is damaged" in error_of(run, "check", "tiny")


def test_code_beside_the_weights_is_never_run(run: Run, models: Path, trap: Path) -> None:
    folder = models / "tiny"
    for name in ("modeling.py", "pipeline.py", "__init__.py", "conftest.py"):
        (folder / name).write_text(f"open({str(trap)!r}, 'w')")
    load_prior(models, "tiny", CPU)
    configure(folder, auto_map={"AutoModel": "modeling.Net"})
    assert "config.json has unknown keys ['auto_map']" in error_of(run, "check", "tiny")
    (folder / "prior.json").unlink()
    assert "config.json has unknown keys ['auto_map']" in error_of(run, "adopt", folder, "--licence", "MIT")
    (folder / "model_index.json").write_text(json.dumps({"_class_name": "Net", "unet": ["pipeline", "Net"]}))
    assert "is no UNet2DModel on pixels" in error_of(run, "adopt", folder, "--licence", "MIT")
    assert not (folder / "prior.json").exists()


def header(**tensors: dict[str, Any]) -> bytes:
    """A safetensors file with this header and no values."""
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text


HUGE = {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}
DAMAGE = {
    "cut short": lambda data: data[: len(data) // 2],
    "header alone": lambda data: data[: 8 + int.from_bytes(data[:8], "little")],
    "empty": lambda data: b"",
    "endless header": lambda data: struct.pack("<Q", 2**62) + data[8:],
    "header of no JSON": lambda data: data[:8] + b"\xff" * (len(data) - 8),
    "huge tensor": lambda data: header(a=HUGE),
    "offsets outside": lambda data: header(a={"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}),
    "overlap": lambda data: header(**dict.fromkeys("ab", {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]})) + b"x",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_weights_are_refused(run: Run, models: Path, damage: Any) -> None:
    weights = models / "tiny" / WEIGHTS
    weights.write_bytes(damage(weights.read_bytes()))
    assert "has the SHA-256" in error_of(run, "check", "tiny")
    declare(models / "tiny")
    assert f"prior tiny: {WEIGHTS} is damaged" in error_of(run, "check", "tiny")
    (models / "tiny" / "prior.json").unlink()
    (models / "tiny" / "scheduler_config.json").write_text('{"_class_name": "DDPMScheduler"}')
    error_of(run, "adopt", models / "tiny", "--licence", "MIT", "--trained-size", "64")
    assert not (models / "tiny" / "prior.json").exists()


@pytest.mark.parametrize("name", ["EvilNet", "", None, 7, ["UNet2DModel"], "os.system", "UNet2DConditionModel"])
def test_an_unknown_architecture_is_refused(run: Run, models: Path, name: object) -> None:
    configure(models / "tiny", _class_name=name)
    assert "config.json describes none of the supported networks" in error_of(run, "check", "tiny")


@pytest.mark.parametrize("file", ["prior.json", "config.json", WEIGHTS])
@pytest.mark.parametrize("kind", ["device", "pipe", "folder"])
def test_what_is_no_file_is_not_waited_for(models: Path, file: str, kind: str) -> None:
    path = models / "tiny" / file
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    with pytest.raises(PriorError, match="tiny"):
        load_prior(models, "tiny", CPU)


def test_a_configuration_without_end_is_not_read(run: Run, models: Path) -> None:
    for file in ("config.json", "prior.json"):
        path = models / "tiny" / file
        kept = path.read_bytes()
        with path.open("wb") as sparse:
            sparse.truncate(2**40)
        assert f"{file} is no file, or too large for one" in error_of(run, "check", "tiny")
        path.write_bytes(kept)
    load_prior(models, "tiny", CPU)


def test_weights_may_be_a_link_and_are_checked_like_others(models: Path, tmp_path: Path) -> None:
    """The hub's cache and large disks are used by links. Who may write into the models folder may name any file."""
    weights = models / "tiny" / WEIGHTS
    weights.rename(tmp_path / "elsewhere")
    weights.symlink_to(tmp_path / "elsewhere")
    load_prior(models, "tiny", CPU)
    (tmp_path / "elsewhere").write_bytes(b"other")
    with pytest.raises(PriorError, match="has the SHA-256"):
        load_prior(models, "tiny", CPU)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_never_a_path(run: Run, models: Path, tmp_path: Path, name: str) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert "there is no prior named" in error_of(run, "check", name)
    assert "there is no prior named" in error_of(run, "card", name)
    assert "is not the name of a prior" in error_of(run, "convert", tmp_path / "x.pt", name, "--licence", "MIT")
    if name:
        reference = f"a/b@{'0' * 40}"
        assert "is not the name of a prior" in error_of(run, "fetch", reference, "--name", name)
    with pytest.raises(PriorError, match="there is no prior named"):
        load_prior(models, name, CPU)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_bundled_priors_cannot_be_replaced(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("REDIFFUSE_MODELS_DIR")
    before = sorted(BUNDLED_PRIORS.rglob("*"))
    for order in (["convert", tmp_path / "x.pt", "mine", "--licence", "MIT"], ["fetch", f"a/b@{'0' * 40}"]):
        assert "REDIFFUSE_MODELS_DIR" in error_of(run, *order)
    assert sorted(BUNDLED_PRIORS.rglob("*")) == before


@pytest.mark.parametrize("name", [*HOSTILE, *NAMES])
def test_a_name_over_http_is_never_a_path(idle: Api, name: str) -> None:
    body = {"image": {"file_id": idle.send(picture())}, "prior": name}
    answer = idle.http.post("/v1/denoise", json=body).json()
    assert answer["code"] in ("unknown_prior", "validation_failed")
    assert "/prior" in [error["pointer"] for error in answer["errors"]]


def test_a_prior_with_a_hostile_manifest_is_not_offered(make_api: MakeApi) -> None:
    api = make_api()
    folder = api.context.settings.models_dir / "evil"
    folder.mkdir()
    for manifest in ("[" * 100_000, "{", '{"kind": "pickle"}', "\ud7ff"):
        (folder / "prior.json").write_text(manifest)
        body = {"image": {"file_id": api.send(picture())}, "prior": "evil"}
        assert_problem(api.http.post("/v1/denoise", json=body), "unknown_prior")
    assert "evil" not in [prior["id"] for prior in api.http.get("/v1/priors").json()["data"]]


@pytest.mark.parametrize(
    ("prior", "reason"),
    [
        ("wrong", "has the SHA-256"),
        ("torn", "is damaged"),
        ("foreign", "none of the supported networks"),
        ("../tiny", "there is no prior named"),
    ],
)
def test_a_job_with_such_a_prior_ends_with_a_problem(models: Path, tmp_path: Path, prior: str, reason: str) -> None:
    """What the API saw whole may be damaged when its job begins."""
    for name in ("wrong", "torn", "foreign"):
        (models / name).mkdir()
        for path in (models / "tiny").iterdir():
            (models / name / path.name).write_bytes(path.read_bytes())
    (models / "wrong" / WEIGHTS).write_bytes(b"other")
    (models / "torn" / WEIGHTS).write_bytes((models / "tiny" / WEIGHTS).read_bytes()[:-100])
    declare(models / "torn")
    configure(models / "foreign", _class_name="EvilNet")
    shelf = Settings(models_dir=models).shelf
    bench = Bench(tmp_path, lambda name: load_prior(shelf.home(name), name, CPU))
    try:
        problem = bench.failure(bench.claim("denoise", png(PIXELS), prior=prior))
        assert problem["code"] == "prior_load_failed"
        assert reason in problem["detail"] and "Traceback" not in problem["detail"]
    finally:
        bench.engine.stop(drain=False)
