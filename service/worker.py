"""A worker process: `python -m service.worker`. Takes jobs from the queue and solves them on one device."""

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import structlog

from priors.footprint import footprint
from service import lifeline
from service.logs import configure_logs
from service.metrics import EngineMetrics, MetricsWriter, counted
from service.queue.base import Equipment
from service.queue.dbos_queue import DbosQueue
from service.queue.dbos_worker import DbosWorker
from service.queue.liveness import Membership, new_executor_id
from service.queue.reporter import DatabaseReporter
from service.queue.schema import prepare
from service.queue.upkeep import Upkeep
from service.settings import Settings, read_settings
from service.storage import Storage
from service.watchdog import Watchdog

EXIT_BROKEN = 70
"""Status of a worker that can run no job any more (`EX_SOFTWARE`)."""
EXIT_FENCED = 75
"""Status of a worker that stopped because others may think it dead (`EX_TEMPFAIL`)."""

NAP_S = 1.0
"""How late a signal may be heard at worst."""

ORPHAN_S = 30.0
"""Seconds that a worker takes at most to end after its supervisor."""

log = structlog.get_logger(__name__)

MakeEquipment = Callable[[Settings, DatabaseReporter], AbstractContextManager[Equipment]]
"""Brings up what runs the jobs, and takes it down again."""


@dataclass(frozen=True)
class Stop:
    """Why a worker stops, and for how long its running jobs may go on."""

    reason: str
    drain_s: float


@contextmanager
def restorer(settings: Settings, reporter: DatabaseReporter) -> Iterator[Equipment]:
    """The real one: an engine on the device of the settings."""
    # torch, which nothing else in this module needs
    import torch

    from priors.precision import network_dtype
    from priors.store import load_prior
    from service.engine.engine import Engine
    from service.engine.memory import prior_memory
    from service.restoration import Restorer, choose_device

    if settings.threads:
        torch.set_num_threads(settings.threads)
    device = choose_device(settings.device)
    dtype = network_dtype(settings.precision, device)
    metrics = EngineMetrics(str(device))
    writer = MetricsWriter(reporter.engine, reporter.executor_id, metrics)
    engine = Engine(
        lambda name: load_prior(settings.shelf.home(name), name, device, dtype),
        device,
        max_batch_pixels=settings.max_batch_pixels,
        observe=metrics,
        watchdog=Watchdog(settings.stall_s),
        prior_size=lambda name: footprint(settings.shelf.home(name) / name),
        prior_memory=prior_memory(device, settings.prior_memory_mb, settings.workers),
        load_stall_s=settings.load_stall_s,
    )
    writer.start()
    try:
        told = {"device": str(device), "precision": str(dtype).removeprefix("torch.")}
        restorer = Restorer(settings, Storage(settings.resolved_blob_url), engine, reporter, told)
        yield Equipment(counted(restorer.run, metrics), engine)
    finally:
        engine.stop(drain=False)
        writer.stop()


def run(settings: Settings, make_equipment: MakeEquipment, arguments: Sequence[str] | None = None) -> None:
    """Work until SIGTERM. A second signal stops at once.

    Under a supervisor, which beats for it, the worker is told its executor id and ends when the supervisor ends. On its
    own it does the upkeep itself.
    """
    options = parse(arguments)
    configure_logs()
    stops: SimpleQueue[Stop] = SimpleQueue()
    _stop_on_signals(stops, settings.drain_s, ignore_interrupt=options.executor_id is not None)
    if options.lifeline is not None:
        lifeline.watch(options.lifeline, lambda: _stop_orphaned(stops))

    prepare(settings.resolved_database_url)
    queue = DbosQueue(settings.resolved_database_url)
    executor_id = options.executor_id or new_executor_id()
    upkeep = _own_upkeep(queue, settings.lease_s, executor_id) if options.executor_id is None else None
    _work(queue, executor_id, settings, make_equipment, stops)
    if upkeep is not None:
        upkeep.drop(executor_id)
        upkeep.stop()
    queue.close()


def _work(
    queue: DbosQueue, executor_id: str, settings: Settings, make_equipment: MakeEquipment, stops: SimpleQueue[Stop]
) -> None:
    """Take jobs until there is a reason to stop."""
    reporter = DatabaseReporter(queue.engine, executor_id)
    with make_equipment(settings, reporter) as equipment:
        worker = DbosWorker(
            queue,
            executor_id,
            equipment,
            reporter,
            concurrency=settings.concurrency,
            max_attempts=settings.max_attempts,
            on_broken=_exit_broken,
        )
        reporter.start()
        worker.start()
        Membership(queue.engine, settings.lease_s).mark_ready(executor_id)
        log.info("worker takes jobs", worker=executor_id, pid=os.getpid())
        stop = _next_stop(stops)
        log.info("worker stops", worker=executor_id, reason=stop.reason)
        worker.stop(stop.drain_s)


def _next_stop(stops: SimpleQueue[Stop]) -> Stop:
    """Wait in short naps: a signal that arrives just before a wait begins is handled after it only."""
    while True:
        with suppress(Empty):
            return stops.get(timeout=NAP_S)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m service.worker", description=__doc__)
    parser.add_argument("--executor-id", help="set by a supervisor, which beats for this worker")
    parser.add_argument("--lifeline", type=int, metavar="FD", help="a pipe that the supervisor holds open")
    return parser.parse_args(arguments)


def _stop_on_signals(stops: SimpleQueue[Stop], drain_s: float, ignore_interrupt: bool) -> None:
    """SIGTERM and Ctrl-C drain; the second one of them ends the process as it stands."""

    def stop(number: int, _frame: object) -> None:
        stops.put(Stop(signal.Signals(number).name, drain_s))
        signal.signal(number, signal.SIG_DFL)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN if ignore_interrupt else stop)


def _stop_orphaned(stops: SimpleQueue[Stop]) -> None:
    """The supervisor is gone: give everything back, in order or after a while without. Nobody is left to kill us."""
    last_resort = threading.Timer(ORPHAN_S, os._exit, [EXIT_BROKEN])
    last_resort.daemon = True
    last_resort.start()
    stops.put(Stop("the supervisor is gone", 0))


def _own_upkeep(queue: DbosQueue, lease_s: float, executor_id: str) -> Upkeep:
    upkeep = Upkeep(queue, lease_s, on_fenced=_exit_fenced)
    upkeep.adopt(executor_id)
    upkeep.start()
    return upkeep


def _exit_fenced(executor_id: str) -> None:
    log.error("worker was declared dead", worker=executor_id)
    os._exit(EXIT_FENCED)  # others run its jobs already: nothing of it may be finished


def _exit_broken() -> None:
    log.error("worker can run no job any more")
    os._exit(EXIT_BROKEN)  # as if killed: the jobs that it was running have lost a worker


def main() -> int:
    """Returns the exit status."""
    settings = read_settings()
    try:
        run(settings, restorer)
    except Exception:  # noqa: BLE001 - whatever it was: said here, for nothing is said after `os._exit`
        log.exception("worker failed")
        return EXIT_BROKEN
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # a thread that hangs in native code must not keep the process
