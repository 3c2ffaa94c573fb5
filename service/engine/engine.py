"""The engine: one thread that runs many solvers and shares every prior call among them.

A turn: end what was cancelled or came too late, let jobs in whose priors are warm, let the scheduler fill a batch, run
it, hand the tiles back, and advance the solvers whose answer is complete. All solver and prior work happens in this
thread, except that priors are loaded beside it; solvers whose own steps are long stand back for the others.
"""

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future

import torch

from priors.base import Prior
from service.engine.admission import Admission
from service.engine.courtesy import Courtesy
from service.engine.departure import Departure
from service.engine.errors import DeadlineExceeded, EngineStopped, NotDifferentiable, OutOfMemory, PriorLoadFailed
from service.engine.lane import Job, Lane, Outcome
from service.engine.loader import Loader
from service.engine.observer import EngineObserver, Unobserved
from service.engine.residency import PriorId, Residency
from service.engine.roster import Roster
from service.engine.runner import Runner, is_fatal, is_out_of_memory
from service.engine.scheduler import Batch, BatchKey, Scheduler
from service.watchdog import Watchdog
from solvers.query import Query, Solution, Solver

__all__ = [
    "DeadlineExceeded",
    "Engine",
    "EngineObserver",
    "EngineStopped",
    "NotDifferentiable",
    "OutOfMemory",
    "Outcome",
    "PriorLoadFailed",
]

BATCH_PIXELS = {"cpu": 4 * 256**2, "mps": 8 * 256**2, "cuda": 32 * 256**2}
"""Pixels in one prior call, by device: a CPU gains nothing beyond (measured), a GPU learns its own limit from here."""

log = logging.getLogger(__name__)


class Engine:
    """Runs jobs on one device; safe to call from any thread."""

    def __init__(
        self,
        load_prior: Callable[[str], Prior],
        device: torch.device | str,
        *,
        max_batch_pixels: int = 0,
        tile_sizes: tuple[int, ...] = (64, 128, 256),
        observe: EngineObserver | None = None,
        watchdog: Watchdog | None = None,
        prior_size: Callable[[str], int] = lambda name: 0,
        prior_memory: float = math.inf,
        load_stall_s: float = math.inf,
    ):
        """load_prior: gives a prior on `device`; called in a thread of its own. max_batch_pixels: 0 chooses by the
        device. watchdog: hears before each prior call and each step of a solver, and of loads, which may take
        `load_stall_s`. prior_size: bytes that a prior will take. prior_memory: bytes that all may take together."""
        self.device = torch.device(device)
        self._tile_sizes = tile_sizes
        self._observe = observe or Unobserved()
        self._watchdog = watchdog or Watchdog()
        self._roster = Roster()
        self._runner = Runner(load_prior, self.device)
        loader = Loader(self._runner.load, self._roster.wake, self._watchdog, load_stall_s)
        self._admission = Admission(self._runner, Residency(prior_memory), loader, prior_size, self._observe)
        self.prior_memory = prior_memory
        self._scheduler = Scheduler(max_batch_pixels or BATCH_PIXELS.get(self.device.type, BATCH_PIXELS["cpu"]))
        self._departure = Departure(
            self._roster, self._admission, self._scheduler, self._watchdog, self._observe, self.device
        )
        self._courtesy = Courtesy()
        self._numbers = itertools.count()
        self._died = False
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self._thread.start()

    @property
    def healthy(self) -> bool:
        """Whether jobs are being run."""
        return self._thread.is_alive() and not self._died

    def submit(
        self,
        job_id: str,
        start: Callable[[], Solver],
        prior: str,
        *,
        on_query: Callable[[Query], None] | None = None,
        deadline: float | None = None,
        weight: float = 1.0,
        digest: str = "",
        further: Sequence[PriorId] = (),
    ) -> Future[Outcome]:
        """Run `start()` to its solution, from now on, beside all others that are here.

        `start`, the solver and `on_query` run in the engine's thread. How many may be here, and who beside whom, is for
        the caller to say (`service.queue.gate`). deadline: on the clock of `time.monotonic`. weight: its importance
        among those that wait for a prior call. digest: of the weights that are meant; empty for whichever there are.
        further: the priors of the components 1, 2, ... of a solver that asks several; all are warm before it begins.
        The future raises SolverDiverged, DeadlineExceeded, PriorLoadFailed, NotDifferentiable, OutOfMemory,
        EngineStopped, CancelledError, or whatever else the solver raised; cancelling it is the same as `cancel`. Raises
        EngineStopped after `stop`.
        """
        priors = (PriorId(prior, digest), *further)
        lane = Lane(next(self._numbers), Job(job_id, start, priors, on_query, deadline, weight))
        self._roster.enter(lane)
        return lane.future

    def cancel(self, job_id: str) -> bool:
        """End a job; its solver is left between two steps. False where there is none of this id that has not ended."""
        return any([lane.future.cancel() for lane in self._roster.present(job_id)])

    @property
    def priors(self) -> dict[PriorId, str]:
        """`loading` or `ready`, of each prior that is not cold."""
        return self._admission.states

    def load(self, prior: str, digest: str = "") -> Future[Outcome]:
        """Make a prior warm, as a job that asks it nothing: it waits for its turn and may fail as a job does."""
        self._admission.wish(prior, stay=True)
        return self.submit(f"load {prior}", _ask_nothing, prior, digest=digest)

    def unload(self, prior: str) -> None:
        """Let go of a prior as soon as no job uses it."""
        self._admission.wish(prior, stay=False)
        self._roster.wake()

    def stop(self, drain: bool, timeout_s: float | None = None) -> None:
        """Take no more jobs and end the thread.

        With `drain`, those that are here are finished first, for `timeout_s` at most. The others end with EngineStopped
        after the step that they are in.
        """
        self._roster.close(abort=not drain)
        self._thread.join(timeout_s)
        self._roster.close(abort=True)
        self._thread.join()

    def _main(self) -> None:
        try:
            while self._wait():
                self._departure.end_the_late()
                self._begin_the_next()
                self._offer_the_released()
                batch = self._scheduler.next_batch()
                if batch is not None:
                    self._run(batch)
        except BaseException as error:  # noqa: BLE001 - whatever it was, nobody may wait for ever for a dead thread
            log.critical("the engine died", exc_info=error)
            self._died = True
            self._roster.close(abort=True)
            self._departure.abandon("the engine died", error)
        else:
            self._departure.abandon("the engine was stopped")
        finally:
            self._watchdog.rest()

    def _wait(self) -> bool:
        """Until there is something to do; no longer than to the next deadline of a job that waits for its prior."""
        if not self._scheduler.is_idle or self._courtesy.has_lanes:
            return self._roster.wait(0)
        self._watchdog.rest()
        deadlines = [lane.job.deadline for lane in self._roster.present() if lane.job.deadline is not None]
        return self._roster.wait(max(0.0, min(deadlines) - time.monotonic()) if deadlines else None)

    def _begin_the_next(self) -> None:
        """Begin every job whose priors are warm, also those that arrive meanwhile."""
        news = True
        while news:
            while (lane := self._roster.start_next()) is not None:
                with self._departure.guard(lane):
                    self._admission.enter(lane)
            ready, failed = self._admission.turn()
            for lane, failure in failed:
                self._departure.end(lane, failure)
            for lane, load_s in ready:
                self._begin(lane, load_s)
            news = bool(ready or failed)

    def _begin(self, lane: Lane, load_s: float) -> None:
        if self._departure.ended_early(lane):
            return
        with self._departure.guard(lane):
            began = time.monotonic()
            lane.begin(load_s)
            self._settle(lane, time.monotonic() - began)

    def _offer_the_released(self) -> None:
        for lane in self._courtesy.released(others_wait=not self._scheduler.is_idle):
            with self._departure.guard(lane):
                self._offer(lane)

    def _run(self, batch: Batch) -> None:
        """One prior call, and what follows from it."""
        lanes = [self._roster[share.lane] for share in batch.shares]
        places = [
            (lane, number)
            for lane, share in zip(lanes, batch.shares, strict=True)
            for number in range(share.first, share.first + share.count)
        ]
        self._watchdog.beat()
        began, failure = time.monotonic(), None
        try:
            answers = self._runner.run(
                batch.key.prior,
                [lane.tile(number) for lane, number in places],
                [lane.sigma(number) for lane, number in places],
                [lane.mean(number) for lane, number in places],
                [lane.cotangent(number) for lane, number in places],
                batch.key.kind,
            )
        except Exception as error:  # noqa: BLE001 - a network may raise anything; only the jobs it concerns may end
            failure = error
        if failure is not None:
            return self._fail(batch, failure)
        self._observe.batch(batch.key.prior.name, batch.size, time.monotonic() - began, batch.key.kind)
        complete = set(self._scheduler.completed(batch))
        chunks = answers.split([share.count for share in batch.shares])
        for lane, share, chunk in zip(lanes, batch.shares, chunks, strict=True):
            with self._departure.guard(lane):
                lane.take(share.first, chunk, batch.size)
                if share.lane in complete:
                    self._observe.step(lane.job.id, batch.key.prior.name)
                    began = time.monotonic()
                    lane.advance()
                    self._settle(lane, time.monotonic() - began)

    def _fail(self, batch: Batch, failure: Exception) -> None:
        """A prior call failed: less at a time where memory is short, else each job alone, to find the one at fault."""
        if is_fatal(failure):
            raise failure
        lane = self._roster[batch.shares[0].lane]
        if is_out_of_memory(failure) or len(batch.shares) > 1:
            failure.__traceback__ = None  # its frames hold the tensors of the call, and there is another to come
        if is_out_of_memory(failure):
            self._runner.release()
            self._observe.out_of_memory(str(self.device))
            if not self._scheduler.too_large(batch):
                lane.tile_below = batch.key.tile
                with self._departure.guard(lane):
                    self._offer(lane)
        elif len(batch.shares) > 1:
            for share in batch.shares:
                self._run(Batch(batch.key, (share,)))
        else:
            self._departure.end(lane, failure)

    def _settle(self, lane: Lane, seconds: float) -> None:
        """After a solver moved, for so long: it has ended, or it waits for tiles, or lets the others go first."""
        if lane.solution is not None:
            self._departure.end(lane, lane.outcome())
        elif not self._courtesy.holds(lane, seconds):
            self._offer(lane)

    def _offer(self, lane: Lane) -> None:
        grid = lane.plan(self._runner.info(lane.prior), self._tile_sizes)
        key = BatchKey(lane.prior, grid.tile, kind=lane.kind)
        self._scheduler.offer(lane.number, key, lane.tiles, lane.job.weight)


def _ask_nothing() -> Solver:
    return Solution(torch.zeros(1, 1, 1, 1), 0.0)
    yield
