"""Who is here: shared by the engine's thread and those that submit and cancel."""

import threading
from collections import deque

from service.engine.errors import EngineStopped
from service.engine.lane import Lane


class Roster:
    """All lanes that have not ended, behind one lock."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._lanes: dict[int, Lane] = {}
        self._arrived: deque[Lane] = deque()
        self._closed = False
        self._aborted = False
        self._news = False

    def enter(self, lane: Lane) -> None:
        """Raises EngineStopped after `close`."""
        with self._changed:
            if self._closed:
                raise EngineStopped("the engine takes no more jobs")
            self._lanes[lane.number] = lane
            self._arrived.append(lane)
        lane.future.add_done_callback(lambda _: self.wake())  # also where it is cancelled while it waits
        self.wake()

    def start_next(self) -> Lane | None:
        """The next lane that has not been started, in the order of arrival; None where all have."""
        with self._changed:
            return self._arrived.popleft() if self._arrived else None

    def leave(self, lane: Lane) -> None:
        with self._changed:
            del self._lanes[lane.number]
            if lane in self._arrived:
                self._arrived.remove(lane)
            self._news = True

    def __getitem__(self, number: int) -> Lane:
        with self._changed:
            return self._lanes[number]

    def present(self, job_id: str | None = None) -> list[Lane]:
        """All lanes, or those of one job."""
        with self._changed:
            return [lane for lane in self._lanes.values() if job_id is None or lane.job.id == job_id]

    def close(self, abort: bool) -> None:
        """Nobody enters any more; `abort`: those that are here need not be finished."""
        with self._changed:
            self._closed = True
            self._aborted = self._aborted or abort
        self.wake()

    def wake(self) -> None:
        """Something has happened that whoever waits wants to look at."""
        with self._changed:
            self._news = True
            self._changed.notify()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Block until something has happened since the last call. False where nobody will be here any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._news, timeout_s)
            self._news = False
            return (bool(self._lanes) or not self._closed) and not self._aborted
