"""What running jobs report, gathered in memory and written by a thread of its own."""

import threading
from collections import defaultdict

import sqlalchemy as sa
import structlog

from service.database import events, jobs, now
from service.queue.base import Json
from service.queue.tables import RUNNING, in_state

INTERVAL_S = 0.25

log = structlog.get_logger(__name__)


class DatabaseReporter:
    """The `Reporter` of one executor.

    Every `INTERVAL_S` all that is new goes into the database in one transaction. A slow database costs intermediate
    progress, never an engine step. A job keeps only its newest progress event; other events stay. What an executor says
    of a job that is no longer its own is dropped.
    """

    def __init__(self, engine: sa.Engine, executor_id: str):
        self.engine = engine
        self.executor_id = executor_id
        self._events: defaultdict[str, list[Json]] = defaultdict(list)
        self._progress: dict[str, Json] = {}
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what is left and end."""
        self._stopped.set()
        self._thread.join()
        self.flush()

    def started(self, job_id: str, data: Json) -> None:
        self._add(job_id, "job.started", data)

    def preview(self, job_id: str, data: Json) -> None:
        self._add(job_id, "job.preview", data)

    def warning(self, job_id: str, data: Json) -> None:
        self._add(job_id, "job.warning", data)

    def progress(self, job_id: str, data: Json) -> None:
        with self._lock:
            self._progress[job_id] = {"type": "job.progress", "data": data, "at": now()}

    def flush(self) -> None:
        """Write now what is gathered; on a failure keep it for the next time, unless it would fail again."""
        with self._writing:
            with self._lock:
                gathered, self._events = self._events, defaultdict(list)
                progress, self._progress = self._progress, {}
            if not gathered and not progress:
                return
            try:
                self._write(gathered, progress)
            except Exception as error:  # noqa: BLE001 - progress is worth neither the thread that writes it nor a job
                log.warning("progress was not written", error=str(error))
                if _is_hopeless(error):
                    return
                with self._lock:
                    for job_id, earlier in gathered.items():
                        self._events[job_id][:0] = earlier
                    self._progress = progress | self._progress

    def _add(self, job_id: str, type_: str, data: Json) -> None:
        with self._lock:
            self._events[job_id].append({"type": type_, "data": data, "at": now()})

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            self.flush()

    def _write(self, gathered: dict[str, list[Json]], progress: dict[str, Json]) -> None:
        rows: list[Json] = []
        replaced: list[str] = []
        with self.engine.begin() as connection:
            for job_id in sorted(gathered.keys() | progress.keys()):  # sorted: two writers never lock crosswise
                new = gathered.get(job_id, []) + ([progress[job_id]] if job_id in progress else [])
                values = {"seq": jobs.c.seq + len(new)}
                if job_id in progress:
                    values["progress"] = progress[job_id]["data"]
                last = connection.execute(
                    jobs.update()
                    .where(jobs.c.id == job_id, jobs.c.running_on == self.executor_id, in_state(jobs.c.id, *RUNNING))
                    .values(values)
                    .returning(jobs.c.seq)
                ).scalar()
                if last is None:
                    continue
                rows += [{**event, "job_id": job_id, "seq": last - len(new) + 1 + i} for i, event in enumerate(new)]
                if job_id in progress:
                    replaced.append(job_id)
            if replaced:
                connection.execute(
                    events.delete().where(events.c.type == "job.progress", events.c.job_id.in_(replaced))
                )
            if rows:
                connection.execute(events.insert(), rows)


def _is_hopeless(error: Exception) -> bool:
    """Whether the database would refuse the same rows again: they are no JSON, or break a rule of the tables."""
    return isinstance(error, sa.exc.DataError | sa.exc.IntegrityError) or not isinstance(error, sa.exc.DBAPIError)
