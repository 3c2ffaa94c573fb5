"""How a child process learns that its supervisor is gone: by a pipe that only the supervisor holds open."""

import os
import threading
from collections.abc import Callable


def watch(fd: int, on_end: Callable[[], None]) -> None:
    """Call `on_end`, in a thread, when the other end of the pipe `fd` is closed."""

    def wait() -> None:
        while os.read(fd, 1):
            pass
        on_end()

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
