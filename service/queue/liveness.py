"""Who is alive. DBOS recovers the jobs of a dead executor only when it is told; this is what tells.

Rules, each from a measured failure of the simpler one:

1. An executor is a row in `executors`. The supervisor of its host writes the row before it starts the worker process
   and raises `beat` for it, so that a worker that is busy in native code is not taken for dead.
2. An executor is dead when its beat has not changed for `lease_s` of the observer's own monotonic clock, through reads
   that succeeded. An observer that was away itself forgets what it saw. So no clocks are compared, and the restart of
   the database kills nobody.
3. The dead are deleted only at the beat that was seen. Who finds its row gone has been declared dead and stops its
   jobs; so does, before its lease ends, who cannot write its beat.
4. Orphans are executors of running jobs without a row. They are computed anew each time, so whatever was left half-done
   is done at the next.

`python -m service.queue.liveness` is the health check of a host of workers: status 0 while one of its rows beats.
"""

import socket
import sys
import time
from collections.abc import Callable, Collection
from uuid import uuid4

import sqlalchemy as sa

from service.database import connect, executors
from service.queue.tables import RUNNING, WORKFLOW_NAME, workflow_status
from service.settings import Settings

BEAT_INTERVAL_S = 1.0
FENCE_AT = 0.8
"""Share of the lease without a beat after which an executor stops by itself."""


def new_executor_id() -> str:
    """Of a worker process of this host; never used twice."""
    return f"{socket.gethostname()}-{uuid4().hex[:12]}"


class Membership:
    """The table of executors as one process of this host sees it."""

    def __init__(self, engine: sa.Engine, lease_s: float, clock: Callable[[], float] = time.monotonic):
        self.engine = engine
        self.lease_s = lease_s
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}
        self._last_read = clock()
        self._last_beat: dict[str, float] = {}

    def enlist(self, executor_id: str) -> None:
        with self.engine.begin() as connection:
            connection.execute(executors.insert().values(id=executor_id, beat=0))
        self._last_beat[executor_id] = self._clock()

    def mark_ready(self, executor_id: str) -> None:
        """It takes jobs from now on."""
        with self.engine.begin() as connection:
            connection.execute(executors.update().where(executors.c.id == executor_id).values(ready=True))

    def dismiss(self, executor_id: str) -> None:
        """It is gone: its jobs are orphans from now on."""
        self._last_beat.pop(executor_id, None)
        with self.engine.begin() as connection:
            connection.execute(executors.delete().where(executors.c.id == executor_id))

    def beat(self, mine: Collection[str]) -> set[str]:
        """Keep executors alive. Returns those of them that were declared dead."""
        with self.engine.begin() as connection:
            alive = set(
                connection.execute(
                    executors.update()
                    .where(executors.c.id.in_(mine))
                    .values(beat=executors.c.beat + 1)
                    .returning(executors.c.id)
                ).scalars()
            )
        self._last_beat = {executor_id: self._clock() for executor_id in alive}
        return set(mine) - alive

    def beyond_lease(self, mine: Collection[str]) -> set[str]:
        """Those of our executors that others may soon declare dead, because the database does not take our beats."""
        moment = self._clock()
        return {id_ for id_ in mine if moment - self._last_beat.get(id_, moment) > FENCE_AT * self.lease_s}

    def reap(self, mine: Collection[str]) -> list[str]:
        """Delete the dead; returns the orphans, whose jobs belong back into the queue."""
        with self.engine.connect() as connection:
            beats = {row.id: row.beat for row in connection.execute(sa.select(executors.c.id, executors.c.beat))}
        moment = self._clock()
        if moment - self._last_read > self.lease_s:
            self._seen.clear()  # we were away ourselves: judge nobody yet
        self._last_read = moment
        self._seen = {id_: seen for id_, seen in self._seen.items() if id_ in beats}
        for executor_id, beat in beats.items():
            seen, since = self._seen.get(executor_id, (None, moment))
            if seen != beat or executor_id in mine:
                self._seen[executor_id] = (beat, moment)
            elif moment - since > self.lease_s:
                self._bury(executor_id, beat)
        return self._orphans()

    def _bury(self, executor_id: str, beat: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(executors.delete().where(executors.c.id == executor_id, executors.c.beat == beat))

    def _orphans(self) -> list[str]:
        ws = workflow_status.c
        with self.engine.connect() as connection:
            return list(
                connection.execute(
                    sa.select(ws.executor_id)
                    .distinct()
                    .where(ws.name == WORKFLOW_NAME, ws.status.in_(RUNNING), ws.executor_id.is_not(None))
                    .where(ws.executor_id.not_in(sa.select(executors.c.id)))
                ).scalars()
            )


def is_host_alive(engine: sa.Engine, host: str, watch_s: float = 3 * BEAT_INTERVAL_S) -> bool:
    """Whether an executor of this host beats and takes jobs."""
    query = sa.select(executors.c.id, executors.c.beat).where(
        executors.c.id.startswith(f"{host}-", autoescape=True), executors.c.ready
    )

    def beats() -> set[tuple[str, int]]:
        with engine.connect() as connection:
            return {(row.id, row.beat) for row in connection.execute(query)}

    before = beats()
    time.sleep(watch_s)
    return bool(beats() - before)


if __name__ == "__main__":
    sys.exit(0 if is_host_alive(connect(Settings().resolved_database_url), socket.gethostname()) else 1)
