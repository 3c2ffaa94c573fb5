"""The restoring tasks: `/v1/inpaint`, `/v1/super-resolution`, `/v1/denoise`."""

from fastapi import APIRouter
from fastapi.responses import Response

from service import openapi
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
    """Take white noise out of a picture; its level is given or estimated."""
    return await creation.of_task("denoise")
