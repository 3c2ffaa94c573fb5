"""The supervisor of a host: starts API and workers, restarts what dies, beats for the living. Imports no torch."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import sqlalchemy as sa
import structlog

from service.api import GRACE_S, listen
from service.children import Child
from service.queue.dbos_queue import DbosQueue
from service.queue.liveness import new_executor_id
from service.queue.schema import prepare
from service.queue.starts import release
from service.queue.upkeep import Upkeep
from service.settings import Settings

KILL_AFTER_S = 10.0
"""Seconds that a child gets beyond what it was promised."""
LATER_S = 2.0
"""Seconds to wait with a start that the database did not allow."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Exited:
    child: Child
    process: subprocess.Popen[bytes]


@dataclass(frozen=True)
class Signalled:
    number: int


@dataclass(frozen=True)
class Fenced:
    """Others may think this worker dead."""

    executor_id: str


class Supervisor:
    """Everything happens in the thread of `run`; other threads only put events into its queue.

    Children hold the read end of a pipe whose write end only this process has: when it dies, of whatever, they notice.
    The socket of the API is opened here and outlives each API process, so a restart refuses no connection.
    """

    def __init__(
        self, settings: Settings, *, worker_module: str = "service.worker", api_module: str = "service.api"
    ) -> None:
        self.settings = settings
        self._events: SimpleQueue[Exited | Signalled | Fenced] = SimpleQueue()
        self._listener = listen(settings) if settings.api else None
        self._lifeline, self._held = os.pipe()
        self._api = Child(api_module)
        self._workers = [Child(worker_module) for _ in range(settings.workers)]
        prepare(settings.resolved_database_url)
        self._queue = DbosQueue(settings.resolved_database_url)
        self._upkeep = Upkeep(self._queue, settings.lease_s, on_fenced=lambda id_: self._events.put(Fenced(id_)))

    @property
    def port(self) -> int | None:
        """Where the API listens."""
        return self._listener.getsockname()[1] if self._listener else None

    def run(self) -> int:
        """Keep the children alive until SIGTERM or Ctrl-C, then drain. Returns the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _frame: self._events.put(Signalled(number)))
        self._upkeep.start()
        try:
            self._keep_alive()
            in_order = self._drain()
        finally:
            self._kill_all()
            self._upkeep.stop()
            self._queue.close()
        return 0 if in_order else 130

    def _children(self) -> list[Child]:
        return [*self._workers, *([self._api] if self._listener else [])]

    def _keep_alive(self) -> None:
        while True:
            for child in self._children():
                if child.is_due:
                    self._start(child)
            pauses = [child.due_at - time.monotonic() for child in self._children() if child.process is None]
            match self._next(min(pauses, default=None)):
                case Signalled():
                    return
                case Exited(child, process):
                    self._bury(child, process)
                case Fenced(executor_id):
                    self._stop_fenced(executor_id)

    def _next(self, timeout_s: float | None) -> Exited | Signalled | Fenced | None:
        try:
            return self._events.get(timeout=None if timeout_s is None else max(0.0, timeout_s))
        except Empty:
            return None

    def _start(self, child: Child) -> None:
        if child is self._api:
            assert self._listener is not None
            listener = self._listener.fileno()
            child.start(["--listener", str(listener), "--lifeline", str(self._lifeline)], [listener, self._lifeline])
        else:
            executor_id = new_executor_id()
            try:
                self._upkeep.adopt(executor_id)
            except sa.exc.SQLAlchemyError as error:
                log.warning("a worker is not started: the database did not answer", error=str(error))
                child.due_at = time.monotonic() + LATER_S
                return
            child.start(["--executor-id", executor_id, "--lifeline", str(self._lifeline)], [self._lifeline])
            child.executor_id = executor_id
        threading.Thread(target=self._await_end, args=[child, child.process], daemon=True).start()

    def _await_end(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        self._events.put(Exited(child, process))

    def _bury(self, child: Child, process: subprocess.Popen[bytes]) -> None:
        """A child has ended: its jobs go back to the queue at once."""
        log.info("process ended", module=child.module, pid=process.pid, status=process.returncode)
        if child.executor_id is not None:
            self._upkeep.drop(child.executor_id)
        child.ended()

    def _stop_fenced(self, executor_id: str) -> None:
        for child in self._workers:
            if child.executor_id == executor_id and child.process is not None:
                child.process.kill()

    def _drain(self) -> bool:
        """Workers first, then the API, so that who waits for a job still gets it. False at a second signal."""
        log.info("stopping; running jobs get time to end", seconds=self.settings.drain_s)
        return self._stop(self._workers, self.settings.drain_s) and self._stop([self._api], GRACE_S)

    def _stop(self, children: list[Child], grace_s: float) -> bool:
        """SIGTERM, and SIGKILL where that does not help. False at a second signal."""
        for child in children:
            if child.process is not None:
                child.process.terminate()
        give_up_at = time.monotonic() + grace_s + KILL_AFTER_S
        while any(child.process is not None for child in children):
            remaining_s = give_up_at - time.monotonic()
            if remaining_s <= 0:
                return True  # `_kill_all` follows
            match self._next(remaining_s):
                case Signalled():
                    return False
                case Exited(child, process):
                    self._bury(child, process)
                case Fenced(executor_id):
                    self._stop_fenced(executor_id)
        return True

    def _kill_all(self) -> None:
        for child in self._children():
            if child.process is None:
                continue
            child.process.kill()
            child.process.wait()
            if child.executor_id is not None:
                self._forgive(child.executor_id)
            self._bury(child, child.process)

    def _forgive(self, executor_id: str) -> None:
        """We killed this worker; its jobs are not to blame."""
        try:
            release(self._queue.engine, executor_id)
        except sa.exc.SQLAlchemyError as error:
            log.warning("jobs of a worker that was stopped count as lost", error=str(error))


def announce(host: str, port: int, say: Callable[[str], None]) -> None:
    """Say where the service is once it answers, in a thread of its own."""
    from urllib.error import URLError
    from urllib.request import urlopen

    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    url = f"http://{reachable}:{port}"

    def wait() -> None:
        while True:
            try:
                with urlopen(f"{url}/healthz", timeout=2):
                    break
            except (URLError, OSError):
                time.sleep(0.2)
        say(f"Rediffuse answers at {url} (documentation: {url}/docs). For example:")
        say(
            f"  curl -H 'Prefer: wait=60' -H 'Accept: image/png' -F image=@examples/pictures/scratched.png"
            f" -F mask=@examples/pictures/mask.png -o restored.png {url}/v1/inpaint"
        )

    threading.Thread(target=wait, name="announce", daemon=True).start()
