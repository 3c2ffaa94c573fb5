"""Loading priors beside the running jobs: a thread for each load, one load at a time."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from priors.base import Prior
from service.engine.residency import PriorId
from service.watchdog import Watchdog


@dataclass(frozen=True)
class Loaded:
    """How a load ended."""

    id: PriorId
    prior: Prior | None
    error: Exception | None
    seconds: float


class Loader:
    """Used by the engine's thread alone; `on_end` is called in the thread of the load."""

    def __init__(
        self, load: Callable[[PriorId], Prior], on_end: Callable[[], None], watchdog: Watchdog, stall_s: float
    ):
        """load: gives a prior that is ready for use. stall_s: after so long the watchdog takes a load for hung."""
        self._load = load
        self._on_end = on_end
        self._watchdog = watchdog
        self._stall_s = stall_s
        self._ended: Loaded | None = None

    def begin(self, prior: PriorId) -> None:
        """Start a load. The one before it must have been taken."""
        self._watchdog.beat("load", self._stall_s)
        # a daemon: an engine that stops does not wait for a load that nobody needs any more
        threading.Thread(target=self._run, args=[prior], name=f"load {prior}", daemon=True).start()

    def take(self) -> Loaded | None:
        """The load that has ended, once; None while there is none."""
        ended, self._ended = self._ended, None
        return ended

    def _run(self, id_: PriorId) -> None:
        began, prior, failure = time.monotonic(), None, None
        try:
            prior = self._load(id_)
        except Exception as error:  # noqa: BLE001 - a damaged file shows itself in many ways; the jobs hear of it
            error.__traceback__ = None  # its frames hold what was loaded so far
            failure = error
        self._ended = Loaded(id_, prior, failure, time.monotonic() - began)
        self._watchdog.rest("load")
        self._on_end()
