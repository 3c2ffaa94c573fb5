"""What somebody has to do every second, so that no job is ever left lying."""

import threading
from collections.abc import Callable

import sqlalchemy as sa
import structlog

from service.queue.dbos_queue import DbosQueue
from service.queue.liveness import BEAT_INTERVAL_S, Membership

log = structlog.get_logger(__name__)


class Upkeep:
    """A thread that beats for the executors of this process, puts the jobs of dead ones back and ends overdue jobs.

    Every supervisor does it; all of it is idempotent. `on_fenced` is called, in this thread, with an executor that has
    to stop at once because others may think it dead.
    """

    def __init__(self, queue: DbosQueue, lease_s: float, on_fenced: Callable[[str], None]):
        self.queue = queue
        self.membership = Membership(queue.engine, lease_s)
        self._on_fenced = on_fenced
        self._mine: set[str] = set()
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End, after a last round for the executors that were dropped."""
        self._stopped = True
        self._wake.set()
        self._thread.join()
        self._round()

    def adopt(self, executor_id: str) -> None:
        """Beat for an executor from now on; it may take jobs when this returns."""
        with self._lock:
            self.membership.enlist(executor_id)
            self._mine.add(executor_id)

    def drop(self, executor_id: str) -> None:
        """An executor has stopped: hand its jobs on at once."""
        with self._lock:
            self._mine.discard(executor_id)
        try:
            self.membership.dismiss(executor_id)
        except sa.exc.SQLAlchemyError as error:
            log.warning("an executor that stopped stays listed until its lease ends", error=str(error))
        self._wake.set()

    def tick(self) -> None:
        """One round. Raises what the database raises."""
        with self._lock:
            mine = set(self._mine)
            lost = self.membership.beat(mine) if mine else set()
        for executor_id in lost:
            self._fence(executor_id)
        if orphans := self.membership.reap(mine):
            log.info("jobs of lost workers go back to the queue", workers=orphans)
            self.queue.requeue(orphans)
        if overdue := self.queue.expire_overdue():
            log.info("jobs ended", jobs=overdue)

    def _fence(self, executor_id: str) -> None:
        with self._lock:
            self._mine.discard(executor_id)
        log.warning("a worker stops because others may think it dead", worker=executor_id)
        self._on_fenced(executor_id)

    def _run(self) -> None:
        while not self._stopped:
            self._round()
            self._wake.wait(BEAT_INTERVAL_S)
            self._wake.clear()

    def _round(self) -> None:
        try:
            self.tick()
        except Exception as error:  # noqa: BLE001 - without this thread nobody beats and no lost job comes back
            foreseen = isinstance(error, sa.exc.SQLAlchemyError)
            log.warning("a round of the upkeep was cut short", error=str(error), exc_info=not foreseen)
            for executor_id in self.membership.beyond_lease(set(self._mine)):
                self._fence(executor_id)
