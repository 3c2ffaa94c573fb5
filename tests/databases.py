"""Fixtures: an empty, prepared database for each test, on SQLite and on PostgreSQL."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy as sa

from service.queue.dbos_queue import DbosQueue
from service.queue.schema import prepare
from tests.postgres import running_postgres
from tests.service.queue.processes import Sleepers

BOTH = ["sqlite", "postgresql"]


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "rediffuse.sqlite"
    prepare(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A server whose database `prepared` is the template of the tests' databases."""
    with running_postgres() as url:
        create_database(url, "prepared", "template1")
        prepare(f"{url}/prepared")
        yield url


def create_database(url: str, name: str, template: str) -> None:
    server = sa.make_url(url)
    with psycopg.connect(f"host={server.host} port={server.port} user=postgres dbname=postgres", autocommit=True) as db:
        db.execute(f"CREATE DATABASE {name} TEMPLATE {template}")


@pytest.fixture(params=BOTH)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Prepared and empty."""
    if request.param == "sqlite":
        path = tmp_path / "rediffuse.sqlite"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        return f"sqlite:///{path}"
    url, name = request.getfixturevalue("postgres_url"), f"test_{uuid4().hex}"
    create_database(url, name, "prepared")
    return f"{url}/{name}"


@pytest.fixture
def queue(database_url: str) -> Iterator[DbosQueue]:
    queue = DbosQueue(database_url)
    yield queue
    queue.close()


@pytest.fixture
def sleepers(database_url: str, tmp_path: Path) -> Iterator[Sleepers]:
    sleepers = Sleepers(database_url, tmp_path)
    yield sleepers
    sleepers.stop()
    print(sleepers.journal.read_text(), (sleepers.folder / "log").read_text(), sep="\n")  # pytest shows it of a failure
