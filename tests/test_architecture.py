"""The walls of the house: who may import whom, and how long a file may grow."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIGHT = ["api_schemas", "client", "service.supervisor", "service.api", "service.app"]
ROOMS = ["api_schemas", "client", "priors", "service", "solvers"]


def test_import_contracts_hold() -> None:
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.fixture(scope="module")
def bringers_of_torch() -> dict[str, bool]:
    """For each light module whether torch is there once it is imported: one process, one module after the other."""
    code = f"import importlib, sys\nfor name in {LIGHT}: importlib.import_module(name); print('torch' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    return dict(zip(LIGHT, (line == "True" for line in run.stdout.split()), strict=True))


@pytest.mark.parametrize("module", LIGHT)
def test_light_processes_never_import_torch(bringers_of_torch: dict[str, bool], module: str) -> None:
    assert not bringers_of_torch[module], f"{module}, or one before it, imports torch"


def test_a_worker_never_imports_the_web_framework() -> None:
    code = "import service.restoration, sys; sys.exit('fastapi' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr or "service.restoration imports fastapi"


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_outgrows_its_noun(room: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / room).rglob("*.py")
        if (lines := len(path.read_text().splitlines())) > 400
    }
    assert not long
