"""One API with a worker for all tests that need jobs to run, and fresh ones without for the rest."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from service.queue.schema import prepare
from tests.service.api import Api, MakeApi, running_api, running_worker, settings_in


@pytest.fixture(scope="session")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """Jobs run here."""
    settings = settings_in(tmp_path_factory.mktemp("working"))
    with running_worker(settings), running_api(settings) as running:
        yield running


@pytest.fixture(scope="session")
def new_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database without jobs, to be copied: making one takes longer than most tests."""
    settings = settings_in(tmp_path_factory.mktemp("new"))
    prepare(settings.resolved_database_url)
    return settings.data_dir


@pytest.fixture
def make_api(tmp_path: Path, new_database: Path) -> Iterator[MakeApi]:
    """An API with these settings and without a worker: jobs stay queued."""
    shutil.copytree(new_database, tmp_path, dirs_exist_ok=True)
    with ExitStack() as stack:
        yield lambda **changes: stack.enter_context(running_api(settings_in(tmp_path, **changes)))


@pytest.fixture
def idle(make_api: MakeApi) -> Api:
    return make_api()
