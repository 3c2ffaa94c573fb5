import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from service.queue.dbos_queue import DbosQueue
from service.queue.schema import prepare
from tests.databases import create_database
from tests.service.queue.processes import ROOT


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_processes_that_come_up_together_take_turns(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path / 'new' / 'rediffuse.sqlite'}"
    else:
        server = request.getfixturevalue("postgres_url")
        create_database(server, "unprepared", "template1")
        url = f"{server}/unprepared"
    code = "import sys; from service.queue.schema import prepare; prepare(sys.argv[1])"
    together = [
        subprocess.Popen([sys.executable, "-c", code, url], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [process.communicate(timeout=120)[1] for process in together]
    assert [process.returncode for process in together] == [0] * 3, errors
    queue = DbosQueue(url)
    assert queue.depth().workers == 0
    queue.close()


def test_a_server_that_never_comes_is_an_error_in_the_end() -> None:
    with pytest.raises(sa.exc.OperationalError):
        prepare("postgresql+psycopg://nobody@127.0.0.1:1/none", patience_s=0)
