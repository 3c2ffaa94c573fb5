"""For machines that watch the service. These answer without an API key and tell nothing of anybody's jobs."""

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool

from api_schemas.catalogue import Health
from service import openapi
from service.context import Ctx
from service.problems import Refused, responses

router = APIRouter(tags=["health"])


@router.get("/", include_in_schema=False)
async def front() -> RedirectResponse:
    """Who opens the address in a browser finds the reference."""
    return RedirectResponse("/docs")


@router.get("/healthz", responses=openapi.success(200, "alive", {"status": "ok"}))
async def alive() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/readyz", responses=openapi.success(200, "ready", {"status": "ready"}) | responses("not_ready"))
async def ready(ctx: Ctx) -> Health:
    """A worker takes jobs, and the default priors can be read."""
    depth = await run_in_threadpool(ctx.queue.depth)
    if not depth.workers:
        raise Refused("not_ready", "no worker takes jobs", headers={"Retry-After": "2"})
    for name in (ctx.settings.default_prior, ctx.settings.default_denoiser):
        if await run_in_threadpool(ctx.catalogue.prior, name) is None:
            detail = f"the default prior {name!r} cannot be read"
            raise Refused("not_ready", detail, headers={"Retry-After": "10"})
    return Health(status="ready")


@router.get("/metrics", response_class=Response, responses=openapi.METRICS)
async def metrics(ctx: Ctx) -> Response:
    """Figures of this process, of all workers and of the queue, for Prometheus."""
    return Response(await run_in_threadpool(ctx.metrics.text), media_type=CONTENT_TYPE_LATEST)
