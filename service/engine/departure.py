"""The way of a job out: its solution, an error of its own, a cancel, its deadline, or the end of the engine."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from service.engine.admission import Admission
from service.engine.errors import DeadlineExceeded, EngineStopped, OutOfMemory
from service.engine.lane import Lane, Outcome
from service.engine.observer import EngineObserver
from service.engine.roster import Roster
from service.engine.runner import is_fatal, is_out_of_memory
from service.engine.scheduler import Scheduler
from service.watchdog import Watchdog


class Departure:
    """Ends jobs, each alone. Used by the engine's thread alone."""

    def __init__(
        self,
        roster: Roster,
        admission: Admission,
        scheduler: Scheduler,
        watchdog: Watchdog,
        observe: EngineObserver,
        device: torch.device,
    ):
        self._roster = roster
        self._admission = admission
        self._scheduler = scheduler
        self._watchdog = watchdog
        self._observe = observe
        self._device = device

    def end(self, lane: Lane, end: Outcome | BaseException) -> None:
        """The job gives up its place before anyone hears of its end."""
        self._scheduler.withdraw(lane.number)
        self._admission.leave(lane)
        self._roster.leave(lane)
        lane.resolve(end)

    def end_the_late(self) -> None:
        for lane in self._roster.present():
            self.ended_early(lane)

    def ended_early(self, lane: Lane) -> bool:
        """End a job that was cancelled or whose deadline has passed, running or not."""
        late = lane.job.deadline is not None and time.monotonic() >= lane.job.deadline
        if late or lane.future.cancelled():
            self.end(lane, DeadlineExceeded(f"the deadline passed {_place(lane)}"))
            return True
        return False

    def abandon(self, reason: str, cause: BaseException | None = None) -> None:
        """End all that are here with EngineStopped."""
        for lane in self._roster.present():
            end = EngineStopped(reason)
            end.__cause__ = cause
            self.end(lane, end)

    @contextmanager
    def guard(self, lane: Lane) -> Iterator[None]:
        """The work of one job: whatever it raises ends this job and no other."""
        self._watchdog.beat()
        try:
            with torch.no_grad():  # also resets what a solver that yields inside `enable_grad` leaves behind
                yield
        except Exception as error:  # noqa: BLE001 - a solver may raise anything
            if is_fatal(error):
                raise
            if is_out_of_memory(error):
                self._observe.out_of_memory(str(self._device))
                error.__traceback__ = None
                error = OutOfMemory(f"the solver needs more memory than {self._device} has: {error}")
            self.end(lane, error)


def _place(lane: Lane) -> str:
    return "before the start" if lane.query is None else f"at step {lane.query.step} of {lane.query.total}"
