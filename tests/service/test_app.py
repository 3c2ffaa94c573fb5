"""The API process as a whole."""

import subprocess
import sys
import tomllib
from pathlib import Path

from service import __version__

ROOT = Path(__file__).parent.parent.parent

WITHOUT_TORCH = """
import sys
from pathlib import Path
from fastapi.testclient import TestClient
from tests.service.api import png, running_api, settings_in

with running_api(settings_in(Path(sys.argv[1]))) as api:
    assert "natural-v1" in {prior["id"] for prior in api.http.get("/v1/priors").json()["data"]}
    api.submit()
    assert api.http.get("/metrics").status_code == 200
heavy = {"torch", "diffusers", "safetensors", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""


def test_the_process_never_imports_torch(tmp_path: Path) -> None:
    source = WITHOUT_TORCH.replace("from tests.service.api", "sys.path.insert(0, '.')\nfrom tests.service.api")
    done = subprocess.run(
        [sys.executable, "-c", source, tmp_path], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == __version__
