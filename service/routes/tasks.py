"""The restoring tasks, `/v1/inpaint` to `/v1/restore`, and an operator applied on its own."""

from fastapi import APIRouter
from fastapi.responses import Response

from service import openapi
from service.bodies import read_task
from service.routes.creation import REFUSALS, Creating

router = APIRouter(tags=["tasks"])
ANSWERS = openapi.creates_job(*REFUSALS)


@router.post("/v1/inpaint", status_code=202, responses=ANSWERS, openapi_extra=openapi.task_body("inpaint"))
async def inpaint(creation: Creating) -> Response:
    """Fill the unknown part of a picture. What is known comes back byte for byte."""
    return await creation.of_task("inpaint")


@router.post(
    "/v1/super-resolution", status_code=202, responses=ANSWERS, openapi_extra=openapi.task_body("super_resolution")
)
async def super_resolution(creation: Creating) -> Response:
    """Give a picture 2, 3, 4 or 8 times as many pixels a side."""
    return await creation.of_task("super_resolution")


@router.post("/v1/denoise", status_code=202, responses=ANSWERS, openapi_extra=openapi.task_body("denoise"))
async def denoise(creation: Creating) -> Response:
    """Take the noise out of a photograph, or white noise out of any picture; its level is given or estimated."""
    return await creation.of_task("denoise")


@router.post("/v1/deblur", status_code=202, responses=ANSWERS, openapi_extra=openapi.task_body("deblur"))
async def deblur(creation: Creating) -> Response:
    """Sharpen a picture whose blur is known: as a shape and its measures, or as a picture of the kernel."""
    return await creation.of_task("deblur")


@router.post("/v1/restore", status_code=202, responses=ANSWERS, openapi_extra=openapi.task_body("restore"))
async def restore(creation: Creating) -> Response:
    """Find the picture that a described operator has made a measurement of; its size follows from the operator."""
    return await creation.of_task("restore")


@router.post("/v1/operators/apply", responses=openapi.applies(*REFUSALS), openapi_extra=openapi.task_body("apply"))
async def apply_operator(creation: Creating) -> Response:
    """Apply an operator to a small picture, to simulate a measurement or to look at an operator.

    A worker does it, as a job of task `apply` that is waited for, at most 60 s or `Prefer: wait`. In a picture, values
    outside of black and white are cut off; `output.format` `npy`, or `Accept: application/x-npy`, gives them all.
    """
    return await creation.applied(await read_task(creation.request, "apply", creation.ctx.settings.max_file_bytes))
