"""The README's examples, run exactly as they are written, and the scripts of `examples/`, against the real service."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.service_process import ROOT, Service, running_service

README = (ROOT / "README.md").read_text()
PICTURES = ROOT / "examples" / "pictures"
PATIENCE_S = 600
"""For one snippet, on a machine that has other things to do."""
CORNER = (0, 0, 128, 96)
"""Of the pictures of 384 x 256 pixels, left, top, right and bottom; with scratches in it."""
STRIP = (0, 64, 384, 128)
"""Of the same: eight tiles."""
pytestmark = pytest.mark.timeout(2 * PATIENCE_S)


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.M | re.S)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a models folder of the user's own, empty so far: the bundled prior must still be there."""
    with running_service(tmp_path_factory.mktemp("data"), models_dir=str(tmp_path_factory.mktemp("models"))) as service:
        yield service


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`examples/`, its large pictures cut to a corner, which is one tile. The noisy photographs are two."""
    examples = tmp_path_factory.mktemp("checkout") / "examples"
    shutil.copytree(ROOT / "examples", examples)
    cut(("scratched", "mask", "original"), CORNER, examples / "pictures")
    cut(("small",), tuple(side // 2 for side in CORNER), examples / "pictures")
    return examples


def cut(names: tuple[str, ...], box: tuple[int, ...], target: Path) -> None:
    for name in names:
        with Image.open(PICTURES / f"{name}.png") as picture:
            picture.crop(box).save(target / f"{name}.png")


@pytest.fixture
def folder(tmp_path: Path, examples: Path) -> Path:
    """A stranger's checkout: the examples, and `.venv/bin` where the commands look for it."""
    (tmp_path / "examples").symlink_to(examples)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    return tmp_path


def run(code: list[str | Path], folder: Path, service: Service) -> str:
    environment = os.environ | {"REDIFFUSE_URL": service.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(code, cwd=folder, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_script(name: str, *arguments: str | Path, folder: Path, service: Service) -> str:
    return run([sys.executable, ROOT / "examples" / name, *arguments, "--url", service.url], folder, service)


def complete(folder: Path, service: Service) -> None:
    """Where a job took longer than its `Prefer: wait`, curl has written the job in place of its picture; then what the
    README says of longer jobs is done: ask until it has ended, and get the result."""
    for path in folder.glob("**/*.png"):
        if "examples" in path.parts or not path.read_bytes().startswith(b"{"):
            continue
        job, deadline = json.loads(path.read_bytes()), time.monotonic() + PATIENCE_S
        while job["status"] in ("queued", "running") and time.monotonic() < deadline:
            job = httpx.get(service.url + job["links"]["self"], params={"wait": 60}, timeout=90).json()
        assert job["status"] == "succeeded", job
        path.write_bytes(httpx.get(service.url + job["links"]["result"], timeout=90).content)


def check(folder: Path) -> None:
    """Whatever the snippet made must be the right picture: size, known pixels, and less noise than before."""
    pictures = folder / "examples" / "pictures"
    made = sorted(path for path in folder.rglob("*.png") if "examples" not in path.parts)
    assert made
    for path in made:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)
        if path.name.startswith("restored"):
            check_restored(pixels, pictures)
        elif path.name.startswith("large"):
            assert pixels.shape == (96, 128, 3)
        else:
            before = np.asarray(Image.open(pictures / "noisy" / path.name).convert("RGB")).astype(int)
            assert pixels.shape == before.shape
            assert roughness(pixels) < 0.5 * roughness(before)


def check_restored(pixels: np.ndarray, pictures: Path) -> None:
    known = ~np.asarray(Image.open(pictures / "mask.png"))
    before = np.asarray(Image.open(pictures / "scratched.png").convert("RGB")).astype(int)
    assert (pixels[known] == before[known]).all()
    assert (pixels[~known] != before[~known]).any(axis=-1).mean() > 0.95


def roughness(pixels: np.ndarray) -> float:
    """Mean absolute second difference along rows."""
    return float(np.abs(np.diff(pixels, n=2, axis=1)).mean())


def test_the_readme_has_one_example_of_each_kind_for_each_task() -> None:
    assert len(snippets("python")) == 3
    assert len([code for code in snippets("bash") if "curl" in code]) == 3
    assert len([code for code in snippets("bash") if "rediffuse " in code]) == 3


@pytest.mark.parametrize("code", snippets("bash"), ids=lambda code: re.sub(r"\W+", " ", code)[:40])
def test_shell_example(code: str, folder: Path, service: Service) -> None:
    run(["bash", "-euc", code.replace("http://127.0.0.1:8000", service.url)], folder, service)
    complete(folder, service)
    check(folder)


@pytest.mark.parametrize("code", snippets("python"), ids=lambda code: code.split("\n")[4][:40])
def test_python_example(code: str, folder: Path, service: Service) -> None:
    run([sys.executable, "-c", code.replace("http://127.0.0.1:8000", service.url)], folder, service)
    check(folder)


def test_a_script_fills_a_picture_of_many_tiles(folder: Path, service: Service) -> None:
    cut(("scratched", "mask"), STRIP, folder)
    run_script("inpaint.py", "scratched.png", "mask.png", "out.png", folder=folder, service=service)
    with Image.open(folder / "out.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    assert pixels.shape == (64, 384, 3)
    check_restored(pixels, folder)


def test_a_script_makes_a_picture_larger(folder: Path, service: Service) -> None:
    small = folder / "examples" / "pictures" / "small.png"
    run_script("upscale.py", small, folder / "out.png", folder=folder, service=service)
    assert Image.open(folder / "out.png").size == (128, 96)


def test_a_script_denoises_a_folder(folder: Path, service: Service) -> None:
    said = run_script("batch_denoise.py", PICTURES / "noisy", folder / "out", folder=folder, service=service)
    assert "2 cleaned, 0 found clean, 0 failed" in said
    assert {path.name for path in (folder / "out").glob("*.png")} == {"mountain-1.png", "mountain-2.png"}
