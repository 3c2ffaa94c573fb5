"""The end of a process that hangs: its jobs go to another worker, where nobody would miss this one."""

import faulthandler
import math
import time


class Watchdog:
    """Ends the process, with the stack of every thread on stderr, where no `beat` or `rest` comes for `limit_s`.

    The clock is a thread of `faulthandler` that needs nothing of the interpreter, so it also ends native code that
    hangs with the interpreter's lock in its hands. There is one to a process. An infinite limit does nothing.
    """

    def __init__(self, limit_s: float = math.inf):
        self.limit_s = limit_s
        self._wound_at = -math.inf

    def beat(self) -> None:
        """The work goes on. Cheap: the clock is wound up anew only after a quarter of its time."""
        now = time.monotonic()
        if now - self._wound_at > self.limit_s / 4:
            faulthandler.dump_traceback_later(self.limit_s, exit=True)
            self._wound_at = now

    def rest(self) -> None:
        """There is no work, so none can hang."""
        if self._wound_at > -math.inf:
            faulthandler.cancel_dump_traceback_later()
            self._wound_at = -math.inf
