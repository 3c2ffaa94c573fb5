"""Who may start. Pure decisions, like the scheduler."""

from collections import deque


class Admission:
    """First come, first served, up to `max_lanes` at a time; a suspect alone.

    A suspect (a job that lost its worker before) starts when all that came before it have ended, and whatever comes
    after it waits for its end. Nobody starves, and nobody is running who would die with it.
    """

    def __init__(self, max_lanes: int):
        self.max_lanes = max_lanes
        self._waiting: deque[int] = deque()
        self._running: set[int] = set()
        self._suspects: set[int] = set()

    def enter(self, lane: int, solo: bool) -> None:
        self._waiting.append(lane)
        if solo:
            self._suspects.add(lane)

    def leave(self, lane: int) -> None:
        """`lane` has ended, or does not want to start any more."""
        self._running.discard(lane)
        self._suspects.discard(lane)
        if lane in self._waiting:
            self._waiting.remove(lane)

    def next(self) -> int | None:
        """The lane that may start now, which counts as running from here on; None where nobody may."""
        if not self._waiting or len(self._running) >= self.max_lanes or self._running & self._suspects:
            return None
        if self._waiting[0] in self._suspects and self._running:
            return None
        lane = self._waiting.popleft()
        self._running.add(lane)
        return lane

    def room(self) -> int:
        """How many more could start at once; none while a suspect waits or runs."""
        if self._suspects:
            return 0
        return max(0, self.max_lanes - len(self._running) - len(self._waiting))
