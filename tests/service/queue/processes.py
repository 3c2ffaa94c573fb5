"""Real processes for the tests of the queue, and what to wait for."""

import os
import signal
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import uuid4

import sqlalchemy as sa

from service.queue.base import JobRecord, NewJob
from service.queue.dbos_queue import DbosQueue
from tests.service.queue.forks import Fork

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0
"""Only a run that is broken comes near it."""


class Sleepers:
    """Starts sleepy workers and supervisors on one database, and leaves none behind."""

    def __init__(self, database_url: str, folder: Path):
        self.database_url = database_url
        self.folder = folder
        self.journal = folder / "journal"
        self.journal.touch()
        self._workers: list[Fork] = []
        self._supervisors: list[Fork] = []

    def worker(self, **settings: object) -> Fork:
        self._workers.append(self._start("tests.service.queue.sleepy_worker", settings))
        return self._workers[-1]

    def supervisor(self, **settings: object) -> Fork:
        self._supervisors.append(self._start("tests.service.queue.sleepy_supervisor", settings))
        return self._supervisors[-1]

    def _start(self, module: str, settings: dict[str, object]) -> Fork:
        named = {"database_url": self.database_url, "data_dir": self.folder, "concurrency": 4, "lease_s": 20} | settings
        environment = os.environ | {f"REDIFFUSE_{name.upper()}": str(value) for name, value in named.items()}
        return Fork(module, environment, self.folder / "log")

    def freeze(self, process: Fork) -> None:
        """Stop it in between its writes: a process that is frozen while it holds SQLite's lock holds up all others."""
        process.send_signal(signal.SIGSTOP)
        while not all(_is_writable(path) for path in self.folder.glob("*.sqlite")):
            process.send_signal(signal.SIGCONT)
            time.sleep(0.02)
            process.send_signal(signal.SIGSTOP)

    def freeze_writing(self, process: Fork, queue: DbosQueue) -> None:
        """Stop it inside of a transaction that has locked the row of a job, on PostgreSQL.

        The events are written after the row, where a lock on their table holds it up until it has been stopped.
        """
        held_up = "wait_event_type = 'Lock' AND query LIKE '%events%' AND datname = current_database()"

        def caught() -> bool:
            with queue.engine.connect() as connection:
                return bool(connection.execute(sa.text(f"SELECT 1 FROM pg_stat_activity WHERE {held_up}")).scalar())

        with queue.engine.begin() as connection:
            connection.execute(sa.text("LOCK TABLE events IN SHARE ROW EXCLUSIVE MODE"))
            wait_for(caught, "a write to be held up")
            process.send_signal(signal.SIGSTOP)

    def stop(self) -> None:
        """Workers on their own are killed, since their jobs may sleep on; supervisors end their workers first."""
        for process in self._workers:
            process.kill()
        for process in self._supervisors:
            process.terminate()
        for process in [*self._workers, *self._supervisors]:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def notes(self, what: str) -> list[tuple[str, int]]:
        """The (job, process id) of each `start`, `end` or `cancel` so far, in order."""
        lines = [line.split() for line in self.journal.read_text().splitlines()]
        return [(job_id, int(pid)) for job_id, noted, _attempt, pid, _at in lines if noted == what]

    def count(self, what: str) -> Counter[str]:
        return Counter(job_id for job_id, _pid in self.notes(what))

    def job(self, do: str, *, priority: str = "normal", deadline_s: float | None = None, **request: object) -> NewJob:
        return NewJob(
            id=str(uuid4()),
            owner="ada",
            task="denoise",
            priority=priority,
            request={"do": do, "journal": str(self.journal), **request},
            fingerprint="f",
            deadline_at=None if deadline_s is None else time.time() + deadline_s,
        )


def _is_writable(database: Path) -> bool:
    connection = sqlite3.connect(database, timeout=0.1, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False
    finally:
        connection.close()
    return True


def wait_for(condition: Callable[[], object], what: str, within_s: float = PATIENCE_S, pause_s: float = 0.05) -> None:
    give_up_at = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < give_up_at, f"waited {within_s} s in vain for {what}"
        time.sleep(pause_s)


def wait_until_ended(queue: DbosQueue, jobs: Sequence[NewJob], within_s: float = PATIENCE_S) -> list[JobRecord]:
    ids = [job.id for job in jobs]
    wait_for(lambda: all(record.is_terminal for record in queue.get_many(ids)), "the end of the jobs", within_s)
    return queue.get_many(ids)
