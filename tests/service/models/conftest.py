"""A models folder of the user's own with one small prior, and the command on it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from service.models.cli import app
from tests.priors.conftest import models, unet

__all__ = ["models", "unet"]

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """`rediffuse-priors` with REDIFFUSE_MODELS_DIR set; expects the exit status `status` and never a traceback."""
    monkeypatch.setenv("REDIFFUSE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str | Path, status: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(each) for each in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    return run
