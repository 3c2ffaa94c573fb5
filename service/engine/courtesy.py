"""Solvers whose own work is long let the others go first."""

import time
from collections.abc import Callable

from service.engine.lane import Lane

LONG_S = 0.5
"""Seconds of a solver's work between two prior calls from which on it stands back; a call takes about as long."""


class Courtesy:
    """Who kept the engine's thread for long asks its prior again when the others have had the thread for as long, or
    have nothing to do. Else each of their steps would wait for one of its own, however short they are.

    Used by the engine's thread alone.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lanes: list[Lane] = []
        self._until = 0.0

    @property
    def has_lanes(self) -> bool:
        return bool(self._lanes)

    def holds(self, lane: Lane, seconds: float) -> bool:
        """Whether a lane whose step took so long stands back; it is `released` later."""
        if seconds < LONG_S:
            return False
        self._until = max(self._clock(), self._until) + seconds
        self._lanes.append(lane)
        return True

    def released(self, others_wait: bool) -> list[Lane]:
        """The lanes whose turn it is again, without those that have ended. others_wait: whether anyone else would ask a
        prior now."""
        if others_wait and self._clock() < self._until:
            return []
        lanes, self._lanes = self._lanes, []
        return [lane for lane in lanes if not lane.future.done()]
