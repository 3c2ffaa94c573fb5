"""The end of a process that hangs: its jobs go to another worker, where nobody would miss this one."""

import faulthandler
import math
import threading
import time


class Watchdog:
    """Ends the process, with the stack of every thread on stderr, where no `beat` or `rest` comes in time.

    Each kind of work has a time of its own: one that hangs is seen while another goes on. The clock is a thread of
    `faulthandler` that needs nothing of the interpreter, so it also ends native code that hangs with the interpreter's
    lock in its hands. It takes no lock itself, so over the stack of a thread that runs on it may end with SIGSEGV
    instead of status 1: the process ends in either case. There is one to a process. An infinite limit does nothing.
    Safe to call from any thread.
    """

    def __init__(self, limit_s: float = math.inf):
        """limit_s: the time of a work that names none."""
        self.limit_s = limit_s
        self._due: dict[str, float] = {}
        self._set_to = math.inf
        self._lock = threading.Lock()

    def beat(self, work: str = "step", limit_s: float | None = None) -> None:
        """The work goes on. Cheap: the clock is set anew only after a quarter of the time."""
        limit_s = self.limit_s if limit_s is None else limit_s
        with self._lock:
            self._due[work] = time.monotonic() + limit_s
            self._set(slack_s=limit_s / 4)

    def rest(self, work: str = "step") -> None:
        """There is no such work, so none can hang."""
        with self._lock:
            self._due.pop(work, None)
            self._set(slack_s=0)

    def _set(self, slack_s: float) -> None:
        """Set the clock to the work that is due first; up to `slack_s` before that is good enough."""
        due = min(self._due.values(), default=math.inf)
        if due == self._set_to or due - slack_s <= self._set_to < due:
            return
        if due < math.inf:
            faulthandler.dump_traceback_later(max(0.001, due - time.monotonic()), exit=True)
        else:
            faulthandler.cancel_dump_traceback_later()
        self._set_to = due
