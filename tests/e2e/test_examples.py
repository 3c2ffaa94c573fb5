"""The scripts of `examples/`, run as a user would run them, against the real service."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.service_process import ROOT, Service, running_service

PICTURES = ROOT / "examples" / "pictures"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With a models folder of the user's own, empty so far: the bundled prior must still be there."""
    with running_service(tmp_path_factory.mktemp("data"), models_dir=str(tmp_path_factory.mktemp("models"))) as service:
        yield service


def run(script: str, *arguments: str | Path, service: Service) -> str:
    command = [sys.executable, ROOT / "examples" / script, *arguments, "--url", service.url]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_inpaint(service: Service, tmp_path: Path) -> None:
    """A whole picture: `test_readme` restores corners."""
    run("inpaint.py", PICTURES / "scratched.png", PICTURES / "mask.png", tmp_path / "out.png", service=service)
    before, after = (
        np.asarray(Image.open(path).convert("RGB")) for path in (PICTURES / "scratched.png", tmp_path / "out.png")
    )
    unknown = np.asarray(Image.open(PICTURES / "mask.png"))
    assert after.shape == (256, 384, 3)
    assert (after[~unknown] == before[~unknown]).all()
    assert (after[unknown] != before[unknown]).any(axis=-1).mean() > 0.95


def test_upscale(service: Service, tmp_path: Path) -> None:
    Image.open(PICTURES / "small.png").crop((0, 0, 64, 48)).save(tmp_path / "small.png")
    run("upscale.py", tmp_path / "small.png", tmp_path / "out.png", service=service)
    assert Image.open(tmp_path / "out.png").size == (128, 96)


def test_batch_denoise(service: Service, tmp_path: Path) -> None:
    said = run("batch_denoise.py", PICTURES / "noisy", tmp_path, service=service)
    assert "2 cleaned, 0 found clean, 0 failed" in said
    assert {path.name for path in tmp_path.glob("*.png")} == {"mountain-1.png", "mountain-2.png"}
