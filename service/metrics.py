"""What can be counted, in the text format of Prometheus (`/metrics`).

Workers are processes of their own, perhaps on other hosts: each counts in `EngineMetrics` and stores its figures in the
database once a second; the API process adds them up when it is asked. Gauges of the queue are read from the queue.
"""

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import database
from service.queue.base import Claim, JobBody, JobFailed, JobQueue, Json, WorkerBroken

PREFIX = "rediffuse"
BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
LIVE_S = 15.0
"""Gauges of a worker that has not stored its figures for this long are left out; what it counted stays."""

rows = database.worker_metrics


class EngineMetrics:
    """The figures of one worker process: an `EngineObserver`, and what the body of a job tells. Thread-safe."""

    def __init__(self, device: str = ""):
        registry = CollectorRegistry()
        made: dict[str, Any] = {"namespace": PREFIX, "registry": registry}
        self.device = device
        self.registry = registry
        self.batch_size = Histogram(
            "engine_batch_size", "Tiles in one prior call.", ["prior"], buckets=BATCH_SIZES, **made
        )
        self.step_seconds = Histogram("engine_step_seconds", "One prior call.", ["prior"], buckets=SECONDS, **made)
        self.images = Counter("engine_denoiser_images", "Tiles denoised.", ["prior"], **made)
        self.differentiated = Counter("engine_differentiated_images", "Tiles differentiated.", ["prior"], **made)
        self.steps = Counter("engine_steps", "Queries of jobs answered.", ["prior"], **made)
        self.oom = Counter("engine_oom", "Calls that did not fit into memory.", ["device"], **made)
        self.load_seconds = Histogram("prior_load_seconds", "Loading a prior.", ["prior"], buckets=SECONDS, **made)
        self.resident = Gauge("prior_resident", "Copies of this prior that are warm.", ["prior", "device"], **made)
        self.finished = Counter("jobs_finished", "Jobs ended.", ["task", "status", "code"], **made)
        self.run_seconds = Histogram("job_run_seconds", "Run of a job.", ["task", "solver"], buckets=SECONDS, **made)

    def batch(self, prior: str, tiles: int, seconds: float, kind: str = "denoise") -> None:
        self.batch_size.labels(prior).observe(tiles)
        self.step_seconds.labels(prior).observe(seconds)
        self.images.labels(prior).inc(tiles)
        if kind == "vjp":
            self.differentiated.labels(prior).inc(tiles)

    def step(self, job_id: str, prior: str) -> None:
        self.steps.labels(prior).inc()

    def out_of_memory(self, device: str) -> None:
        self.oom.labels(device).inc()

    def prior_loaded(self, prior: str, seconds: float) -> None:
        self.load_seconds.labels(prior).observe(seconds)
        self.resident.labels(prior, self.device).inc()

    def prior_evicted(self, prior: str) -> None:
        self.resident.labels(prior, self.device).dec()

    def job_finished(self, task: str, solver: str, status: str, code: str = "", run_s: float | None = None) -> None:
        """`code`: of the problem of a failed job. `run_s` is None for a job that never ran."""
        self.finished.labels(task, status, code).inc()
        if run_s is not None:
            self.run_seconds.labels(task, solver).observe(run_s)

    def families(self) -> list[dict[str, Any]]:
        """Everything counted so far, as plain JSON."""
        return [as_json(metric) for metric in self.registry.collect()]


def counted(body: JobBody, metrics: EngineMetrics) -> JobBody:
    """The body of a job, with its end counted. `interrupted`: canceled, past its deadline, or back in the queue."""

    async def run(claim: Claim) -> Json:
        began = time.perf_counter()
        status, code = "failed", "internal"
        try:
            result = await body(claim)
            status, code = "succeeded", ""
            return result
        except JobFailed as failure:
            code = failure.problem["code"]
            raise
        except (asyncio.CancelledError, WorkerBroken):
            status, code = "interrupted", ""
            raise
        finally:
            solver = claim.request.get("solver", "")  # an operator that is applied needs none
            metrics.job_finished(claim.task, solver, status, code, time.perf_counter() - began)

    return run


def as_json(metric: Metric) -> dict[str, Any]:
    samples = [[each.name, each.labels, each.value] for each in metric.samples if not each.name.endswith("_created")]
    return {"name": metric.name, "documentation": metric.documentation, "type": metric.type, "samples": samples}


def merge(counted: Iterable[list[dict[str, Any]]]) -> list[Metric]:
    """The sums over several processes. Counts of the buckets of a histogram are sums, too."""
    merged: dict[str, tuple[dict[str, Any], dict[tuple[str, tuple[tuple[str, str], ...]], float]]] = {}
    for families in counted:
        for family in families:
            _, sums = merged.setdefault(family["name"], (family, {}))
            for name, labels, value in family["samples"]:
                key = (name, tuple(labels.items()))
                sums[key] = sums.get(key, 0.0) + value
    answer = []
    for family, sums in merged.values():
        metric = Metric(family["name"], family["documentation"], family["type"])
        for (name, labels), value in sums.items():
            metric.add_sample(name, dict(labels), value)
        answer.append(metric)
    return answer


class MetricsWriter:
    """Stores the figures of a worker process once a second, in a thread of its own."""

    def __init__(self, engine: sa.Engine, worker_id: str, metrics: EngineMetrics, interval_s: float = 1.0):
        self.engine = engine
        self.worker_id = worker_id
        self.metrics = metrics
        self.interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Store once more and end."""
        self._stop.set()
        self._thread.join()

    def write(self) -> None:
        values = {"families": self.metrics.families(), "updated_at": database.now()}
        with self.engine.begin() as connection:
            written = connection.execute(rows.update().where(rows.c.id == self.worker_id).values(values))
            if not written.rowcount:
                connection.execute(rows.insert().values(id=self.worker_id, **values))

    def _run(self) -> None:
        ended = False
        while not ended:
            ended = self._stop.wait(self.interval_s)
            try:
                self.write()
            except sa.exc.SQLAlchemyError as error:  # the next second tries again
                structlog.get_logger().warning("figures not stored", reason=str(error))


class WorkerFigures:
    """Collector: what this process and all workers, living and dead, have counted."""

    def __init__(self, engine: sa.Engine, own: EngineMetrics):
        self.engine = engine
        self.own = own

    def collect(self) -> Iterator[Metric]:
        live_since = database.now() - LIVE_S
        with self.engine.connect() as connection:
            stored = connection.execute(sa.select(rows.c.families, rows.c.updated_at)).all()
        counted = [
            [family for family in row.families if family["type"] != "gauge" or row.updated_at >= live_since]
            for row in stored
        ]
        yield from merge([self.own.families(), *counted])


class QueueFigures:
    """Collector: the queue as it stands now."""

    def __init__(self, queue: JobQueue):
        self.queue = queue

    def collect(self) -> Iterator[Metric]:
        depth = self.queue.depth()
        queued = GaugeMetricFamily(f"{PREFIX}_jobs_queued", "Jobs that wait.", labels=["priority"])
        for priority, count in depth.queued.items():
            queued.add_metric([priority], count)
        yield queued
        yield GaugeMetricFamily(f"{PREFIX}_jobs_running", "Jobs that run.", value=depth.running)
        yield GaugeMetricFamily(f"{PREFIX}_workers", "Workers that are alive.", value=depth.workers)
        age = depth.oldest_age_s or 0.0
        yield GaugeMetricFamily(f"{PREFIX}_queue_oldest_age_seconds", "Age of the oldest job that waits.", value=age)


class ApiMetrics:
    """The figures of an API process, with those of the workers and of the queue."""

    def __init__(self, engine: sa.Engine, queue: JobQueue):
        self.registry = CollectorRegistry()
        made: dict[str, Any] = {"namespace": PREFIX, "registry": self.registry}
        self.submitted = Counter("jobs_submitted", "Jobs queued.", ["task"], **made)
        self.requests = Counter("http_requests", "Answers.", ["route", "code"], **made)
        self.seconds = Histogram("http_request_seconds", "Until an answer begins.", ["route"], buckets=SECONDS, **made)
        self.artifact_bytes = Counter("artifact_bytes", "Bytes of artifacts sent.", **made)
        self.jobs = EngineMetrics()
        """Ends of jobs that no worker saw."""
        self.registry.register(WorkerFigures(engine, self.jobs))
        self.registry.register(QueueFigures(queue))

    def text(self) -> bytes:
        return generate_latest(self.registry)


def retire(engine: sa.Engine, moment: float) -> None:
    """Fold the figures of workers that stopped before `moment` into one row, so that dead workers do not pile up."""
    retired = "retired"
    with engine.begin() as connection:
        old = connection.execute(sa.select(rows).where(rows.c.updated_at < moment)).all()
        if not [row for row in old if row.id != retired]:
            return
        total = connection.execute(sa.select(rows).where(rows.c.id == retired)).all()
        folded = [row for row in old if row.id != retired] + list(total)
        sums = merge([[family for family in row.families if family["type"] != "gauge"] for row in folded])
        families = [as_json(metric) for metric in sums]
        connection.execute(rows.delete().where(rows.c.id.in_([row.id for row in folded])))
        connection.execute(rows.insert().values(id=retired, families=families, updated_at=moment))


class CountRequests:
    """ASGI middleware: counts answers by route template, never by address."""

    def __init__(self, app: ASGIApp, metrics: ApiMetrics):
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began = time.perf_counter()

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = getattr(scope.get("route"), "path", "none")
                self.metrics.requests.labels(route, str(message["status"])).inc()
                self.metrics.seconds.labels(route).observe(time.perf_counter() - began)
            await send(message)

        return await self.app(scope, receive, counted)
