"""A real worker process whose jobs sleep, report, fail or kill instead of restoring. Run by the tests as a script.

A job's request says what it does: `{"do": "sleep", "s": 0.5}`. Every start and end is appended to the file `journal` of
the request, so that a test sees what really ran, whatever the database says. The prior that a request names is warm in
this worker from then on.
"""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

from api_schemas.problems import problem
from service.queue.base import Claim, Equipment, JobFailed, Json
from service.queue.reporter import DatabaseReporter
from service.settings import Settings
from service.worker import run


class SleepyPriors:
    """A `PriorHolder` that takes no time."""

    prior_memory = 2.0**30

    def __init__(self) -> None:
        self.priors: dict[tuple[str, str], str] = {}

    def load(self, prior: str, digest: str) -> Future[None]:
        self.priors[prior, digest] = "ready"
        loaded: Future[None] = Future()
        loaded.set_result(None)
        return loaded

    def unload(self, prior: str) -> None:
        self.priors = {key: state for key, state in self.priors.items() if key[0] != prior}


class SleepyBody:
    def __init__(self, reporter: DatabaseReporter, priors: SleepyPriors):
        self.reporter = reporter
        self.priors = priors

    async def __call__(self, claim: Claim) -> Json:
        note(claim, "start")
        if "prior" in claim.request:
            self.priors.load(claim.request["prior"], claim.request["prior_digest"])
        self.reporter.started(claim.id, {"attempt": claim.attempt})
        try:
            return await getattr(self, claim.request["do"])(claim)
        except asyncio.CancelledError:
            note(claim, "cancel")
            raise

    async def sleep(self, claim: Claim) -> Json:
        seconds = claim.request["s"]
        steps = max(1, round(seconds / 0.05))
        for step in range(steps):
            await asyncio.sleep(seconds / steps)
            self.reporter.progress(claim.id, {"step": step + 1, "total_steps": steps, "fraction": (step + 1) / steps})
        note(claim, "end")
        return {"slept_s": seconds, "attempt": claim.attempt}

    async def talk(self, claim: Claim) -> Json:
        self.reporter.preview(claim.id, {"step": 1, "key": "a"})
        self.reporter.progress(claim.id, {"step": 1, "total_steps": 2, "fraction": 0.5})
        self.reporter.progress(claim.id, {"step": 2, "total_steps": 2, "fraction": 1.0})
        self.reporter.warning(claim.id, {"code": "noted", "detail": "said at the very end"})
        return {}

    async def kill(self, claim: Claim) -> Json:
        await asyncio.sleep(0.2)  # its neighbours start too
        os.kill(os.getpid(), signal.SIGKILL)
        return {}

    async def fail(self, claim: Claim) -> Json:
        raise JobFailed(problem("solver_diverged", "not finite at step 3").model_dump(mode="json"))

    async def crash(self, claim: Claim) -> Json:
        raise ZeroDivisionError("a secret of the server")

    async def miss_deadline(self, claim: Claim) -> Json:
        raise JobFailed(problem("deadline_exceeded", "the engine saw it first").model_dump(mode="json"))


def note(claim: Claim, what: str) -> None:
    """One line, written whole: several processes append to the same file."""
    line = f"{claim.id} {what} {claim.attempt} {os.getpid()} {time.monotonic()}\n"
    with Path(claim.request["journal"]).open("ab", buffering=0) as journal:
        journal.write(line.encode())


@contextmanager
def sleepy(settings: Settings, reporter: DatabaseReporter) -> Iterator[Equipment]:
    priors = SleepyPriors()
    yield Equipment(SleepyBody(reporter, priors), priors)


if __name__ == "__main__":
    run(Settings(), sleepy)
