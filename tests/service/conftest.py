"""One API with a worker for all tests of a module that need jobs to run, and fresh ones without for the rest."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.service.api import Api, MakeApi, running_api, running_worker, settings_in


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Jobs run here. Not for the session: a worker that waits asks the database ten times a second."""
    settings = settings_in(tmp_path_factory.mktemp("working"))
    with running_worker(settings), running_api(settings) as running:
        yield running


@pytest.fixture
def make_api(tmp_path: Path, sqlite_template: Path) -> Iterator[MakeApi]:
    """An API with these settings and without a worker: jobs stay queued."""
    shutil.copy(sqlite_template, tmp_path / "rediffuse.sqlite")
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running_api(settings_in(tmp_path, **changes)))


@pytest.fixture
def idle(make_api: MakeApi) -> Api:
    return make_api()
