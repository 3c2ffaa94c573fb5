"""Who is here and who may start: shared by the engine's thread and those that submit, cancel and ask for room."""

import threading

from service.engine.admission import Admission
from service.engine.errors import EngineStopped
from service.engine.lane import Lane


class Roster:
    """All lanes that have not ended, behind one lock."""

    def __init__(self, max_lanes: int):
        self._changed = threading.Condition()
        self._admission = Admission(max_lanes)
        self._lanes: dict[int, Lane] = {}
        self._closed = False
        self._aborted = False

    def enter(self, lane: Lane) -> None:
        """Raises EngineStopped after `close`."""
        with self._changed:
            if self._closed:
                raise EngineStopped("the engine takes no more jobs")
            self._lanes[lane.number] = lane
            self._admission.enter(lane.number, lane.job.solo)
            self._changed.notify()

    def start_next(self) -> Lane | None:
        """The lane that may start now; it counts as running from here on."""
        with self._changed:
            number = self._admission.next()
            return None if number is None else self._lanes[number]

    def leave(self, lane: Lane) -> None:
        with self._changed:
            del self._lanes[lane.number]
            self._admission.leave(lane.number)

    def __getitem__(self, number: int) -> Lane:
        with self._changed:
            return self._lanes[number]

    def present(self, job_id: str | None = None) -> list[Lane]:
        """All lanes, or those of one job."""
        with self._changed:
            return [lane for lane in self._lanes.values() if job_id is None or lane.job.id == job_id]

    def room(self) -> int:
        with self._changed:
            return 0 if self._closed else self._admission.room()

    def close(self, abort: bool) -> None:
        """Nobody enters any more; `abort`: those that are here need not be finished."""
        with self._changed:
            self._closed = True
            self._aborted = self._aborted or abort
            self._changed.notify()

    def wait(self) -> bool:
        """Block while there is nothing to do. False where there never will be."""
        with self._changed:
            while not self._lanes and not self._closed:
                self._changed.wait()
            return bool(self._lanes) and not self._aborted
