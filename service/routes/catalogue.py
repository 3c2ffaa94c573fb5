"""What can be asked for: priors, solvers, operators, and how busy the service is."""

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.concurrency import run_in_threadpool

from api_schemas.catalogue import (
    InfoOut,
    LimitsOut,
    OperatorList,
    PriorList,
    PriorOut,
    QueueOut,
    SolverList,
    SolverOut,
)
from api_schemas.requests import OPTIONS
from service import __version__, examples, openapi
from service.auth import Admin, Owner
from service.catalogue import SOLVERS, operators
from service.context import Ctx
from service.negotiation import MAX_WAIT_S
from service.problems import Refused, responses

router = APIRouter(prefix="/v1", tags=["catalogue"])
PriorId = Annotated[str, Path(description="name of a prior", examples=["natural-v1"])]


@router.get("/priors", responses=openapi.success(200, "every prior", {"data": [examples.PRIOR]}))
async def list_priors(ctx: Ctx, _owner: Owner) -> PriorList:
    """The denoisers that this service can restore with."""
    return PriorList(data=await run_in_threadpool(ctx.stock.priors))


@router.get(
    "/priors/{prior_id}", responses=openapi.success(200, "the prior", examples.PRIOR) | responses("prior_not_found")
)
async def get_prior(ctx: Ctx, _owner: Owner, prior_id: PriorId) -> PriorOut:
    """What a prior declares about itself."""
    return await run_in_threadpool(ctx.stock.prior, prior_id)


@router.post(
    "/priors/{prior_id}/load",
    status_code=202,
    responses=openapi.success(202, "the workers were asked", examples.PRIOR)
    | responses("insufficient_scope", "prior_not_found", "insufficient_memory", "not_ready"),
)
async def load_prior(ctx: Ctx, _admin: Admin, prior_id: PriorId) -> PriorOut:
    """Ask the workers to make a prior warm, so that no job has to wait for it; `state` tells when it is."""
    return await run_in_threadpool(ctx.stock.load, prior_id)


@router.post(
    "/priors/{prior_id}/unload",
    status_code=202,
    responses=openapi.success(202, "the workers were asked", examples.PRIOR)
    | responses("insufficient_scope", "prior_not_found", "not_ready"),
)
async def unload_prior(ctx: Ctx, _admin: Admin, prior_id: PriorId) -> PriorOut:
    """Ask the workers to let go of a prior, each as soon as none of its jobs uses it."""
    return await run_in_threadpool(ctx.stock.unload, prior_id)


@router.get("/solvers", responses=openapi.success(200, "every solver", examples.SOLVERS))
async def list_solvers(_owner: Owner) -> SolverList:
    """The algorithms, with the schema of their parameters."""
    return SolverList(data=list(SOLVERS.values()))


@router.get(
    "/solvers/{name}",
    responses=openapi.success(200, "the solver", examples.SOLVERS["data"][0]) | responses("solver_not_found"),
)
async def get_solver(
    _owner: Owner, name: Annotated[str, Path(description="name of a solver", examples=["red_diff"])]
) -> SolverOut:
    """One algorithm."""
    if name not in SOLVERS:
        raise Refused("solver_not_found", f"there is no solver {name!r}; there are: {', '.join(SOLVERS)}")
    return SOLVERS[name]


@router.get("/operators", responses=openapi.success(200, "every operator", examples.OPERATORS))
async def list_operators(_owner: Owner) -> OperatorList:
    """The ways in which a measurement comes from a picture."""
    return OperatorList(data=operators())


@router.get("/queue", responses=openapi.success(200, "the queue", examples.QUEUE))
async def get_queue(ctx: Ctx, _owner: Owner) -> QueueOut:
    """How many jobs wait and run."""
    depth = await run_in_threadpool(ctx.queue.depth)
    return QueueOut(queued=depth.queued, running=depth.running, oldest_age_s=depth.oldest_age_s, workers=depth.workers)


@router.get("/info", responses=openapi.success(200, "the service", examples.INFO))
async def get_info(ctx: Ctx, _owner: Owner) -> InfoOut:
    """Version, limits and features."""
    depth = await run_in_threadpool(ctx.queue.depth)
    return InfoOut(
        version=__version__,
        tasks=list(OPTIONS),
        default_prior=ctx.settings.default_prior,
        default_denoiser=ctx.settings.default_denoiser,
        workers=depth.workers,
        limits=LimitsOut(max_wait_s=MAX_WAIT_S, **ctx.settings.model_dump(include=set(LimitsOut.model_fields))),
        features={"batches": True, "events": True, "previews": True, "webhooks": False, "image_urls": False},
    )
