"""Which of the jobs that a worker holds may run beside each other."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """First come, first served, up to `capacity` at a time; a suspect alone.

    A suspect waits until all that came before it have left, and holds back all that come after it. So if it takes the
    worker down with it, no other job had started. Lives in one event loop; `close` may be called from any thread.
    """

    def __init__(self, capacity: int):
        self.capacity = capacity
        self._waiting: deque[tuple[asyncio.Future[None], bool]] = deque()
        self._inside = 0
        self._suspect_inside = False
        self._closed = False

    def close(self) -> None:
        """Let nobody in any more: who waits is cancelled as soon as the gate moves."""
        self._closed = True

    @property
    def is_empty(self) -> bool:
        """Whether no job is running."""
        return self._inside == 0

    @asynccontextmanager
    async def passage(self, suspect: bool) -> AsyncIterator[None]:
        """Inside the block the job runs. Raises `asyncio.CancelledError` once the gate is closed."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, suspect))
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            else:
                turn.cancel()
                self._admit()  # who stood behind may be next
            raise
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        self._inside -= 1
        self._suspect_inside = False
        self._admit()

    def _admit(self) -> None:
        while self._waiting:
            turn, suspect = self._waiting[0]
            if self._closed:
                turn.cancel()
            if not turn.cancelled():
                if self._suspect_inside or self._inside >= self.capacity or (suspect and self._inside):
                    return
                self._inside += 1
                self._suspect_inside = suspect
                turn.set_result(None)
            self._waiting.popleft()
