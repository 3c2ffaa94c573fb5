"""One process that the supervisor keeps alive."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

QUICK_S = 10.0
"""A process that ends sooner has failed to start, or was killed by its first job."""
LONGEST_PAUSE_S = 30.0


@dataclass(eq=False)
class Child:
    """A module that is to run as a process, and the process where it runs."""

    module: str
    process: subprocess.Popen[bytes] | None = None
    executor_id: str | None = None
    due_at: float = 0.0
    """When to start it next, on the monotonic clock."""
    _started_at: float = field(default=0.0, init=False)
    _quick_ends: int = field(default=0, init=False)

    @property
    def is_due(self) -> bool:
        return self.process is None and time.monotonic() >= self.due_at

    def start(self, arguments: Sequence[str], descriptors: Sequence[int]) -> None:
        """Run `python -m module`. In a session of its own: a Ctrl-C in the terminal is for the supervisor alone."""
        self._started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", self.module, *arguments], pass_fds=descriptors, start_new_session=True
        )

    def ended(self) -> None:
        """Its process has ended: decide when it starts again. At once, unless it ends quickly time after time."""
        now = time.monotonic()
        self._quick_ends = self._quick_ends + 1 if now - self._started_at < QUICK_S else 0
        self.due_at = now + pause_s(self._quick_ends)
        self.process = None
        self.executor_id = None


def pause_s(quick_ends: int) -> float:
    """Seconds before the next start, after so many quick ends in a row."""
    return 0.0 if quick_ends < 3 else min(LONGEST_PAUSE_S, 0.5 * 2 ** (quick_ends - 3))
