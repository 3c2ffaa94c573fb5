"""The API process. Imports no torch: it checks, stores and queues; workers restore."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

from anyio import CapacityLimiter
from fastapi import Depends, FastAPI

from service import __version__, openapi, problems
from service.auth import KeyRing, authenticate, check_exposure
from service.batches import Batches
from service.catalogue import Catalogue
from service.context import Context
from service.database import connect, create_tables
from service.events import JobWatcher
from service.files import FileRepository
from service.imaging import ImageLimits
from service.metrics import ApiMetrics, CountRequests
from service.queue.base import JobQueue
from service.queue.dbos_queue import DbosQueue
from service.queue.holdings import Holdings
from service.queue.schema import prepare
from service.results import Results
from service.retention import Retention
from service.routes import batches, catalogue, files, health, jobs, outputs, tasks
from service.settings import Settings
from service.stock import Stock
from service.storage import Storage
from service.submission import Submissions

DESCRIPTION = """Restores damaged pictures with pretrained diffusion denoisers.

Everything that takes time is a job: creating one answers 202 with its address. Every problem is an
`application/problem+json` with a stable `code`."""
EVERYWHERE = (
    "missing_credentials",
    "invalid_credentials",
    "foreign_origin",
    "validation_failed",
    "internal",
    "storage_unavailable",
)
"""Problems that every guarded route may answer with."""
DECODERS = 4
"""Requests that may hold decoded pictures at one time."""


def create_app(settings: Settings, queue: JobQueue | None = None, storage: Storage | None = None) -> FastAPI:
    """The application. Opens the queue and the store of the settings where none are given. Raises InsecureSettings."""
    check_exposure(settings)
    context = build_context(settings, queue, storage)
    app = FastAPI(title="Rediffuse", version=__version__, description=DESCRIPTION, lifespan=lifespan)
    app.state.context = context
    app.openapi = lambda: openapi.describe(app)  # type: ignore[method-assign]
    app.add_middleware(CountRequests, metrics=context.metrics)
    problems.install(app)
    guarded = {
        "dependencies": [Depends(authenticate)],
        "responses": problems.responses(*EVERYWHERE),
    }
    for module in (tasks, jobs, outputs, files, batches, catalogue):
        app.include_router(module.router, **guarded)
    app.include_router(health.router, responses=problems.responses("internal", "storage_unavailable"))
    return app


def build_context(settings: Settings, queue: JobQueue | None, storage: Storage | None) -> Context:
    if queue is None:
        prepare(settings.resolved_database_url)
        queue = DbosQueue(settings.resolved_database_url)
    storage = storage or Storage(settings.resolved_blob_url)
    engine = connect(settings.resolved_database_url)
    create_tables(engine)
    limits = ImageLimits(settings.max_file_bytes, settings.max_pixels, settings.min_side)
    repository = FileRepository(engine, storage, limits, settings.retention_s)
    known = Catalogue(settings)
    metrics = ApiMetrics(engine, queue)
    submissions = Submissions(settings, queue, repository, known)
    own_files = replace(limits, max_bytes=2**62, min_side=1)  # a result may be larger than what may be sent
    return Context(
        settings=settings,
        keys=KeyRing(settings.api_keys, settings.admins),
        queue=queue,
        files=repository,
        catalogue=known,
        stock=Stock(known, settings.shelf, Holdings(engine)),
        submissions=submissions,
        batches=Batches(engine, queue, submissions),
        results=Results(settings, queue, storage, own_files, metrics),
        retention=Retention(engine, queue, storage, repository, settings.retention_s),
        watcher=JobWatcher(queue),
        metrics=metrics,
        pixels=CapacityLimiter(DECODERS),
    )


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    context: Context = app.state.context
    sweeper = asyncio.create_task(context.retention.run())
    try:
        yield
    finally:
        sweeper.cancel()
        with suppress(asyncio.CancelledError):
            await sweeper
        await context.watcher.close()
        context.retention.engine.dispose()
