"""Pictures that are sent once and named in many requests."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from api_schemas.images import FileInfo
from service import examples, openapi
from service.auth import Owner
from service.bodies import read_file
from service.context import Ctx, OwnedFile
from service.downloads import send_bytes
from service.idempotency import IdempotencyKey
from service.intake import naming
from service.presentation import present_file
from service.problems import Refused, responses
from service.storage import BlobMissing

router = APIRouter(prefix="/v1/files", tags=["files"])
REFUSALS = (
    "malformed_request",
    "file_too_large",
    "unsupported_image",
    "unsupported_media_type",
    "validation_failed",
    "image_too_many_pixels",
    "image_too_small",
)


@router.post(
    "",
    status_code=201,
    response_model=FileInfo,
    responses=openapi.success(201, "stored", examples.FILE)
    | openapi.file_answer(200, "these bytes were there already; they have the same id")
    | responses(*REFUSALS),
    openapi_extra=openapi.file_body(),
)
async def send_file(
    request: Request, response: Response, ctx: Ctx, owner: Owner, _key: IdempotencyKey = None
) -> FileInfo:
    """Store a picture, or an array as an `.npy` file.

    Equal bytes have an equal id, so a repeat changes nothing but the time it is kept.
    """
    data, expires_in = await read_file(request, ctx.settings.max_file_bytes, ctx.settings.retention_s)
    with naming("file"):
        stored, is_new = await ctx.decode(ctx.files.ingest, owner, data, expires_in)
    response.status_code = 201 if is_new else 200
    response.headers["Location"] = f"/v1/files/{stored.id}"
    return present_file(stored)


@router.get("/{file_id}", responses=openapi.success(200, "the file", examples.FILE) | responses("file_not_found"))
async def get_file(stored: OwnedFile) -> FileInfo:
    """What is known of a stored picture."""
    return present_file(stored)


@router.get("/{file_id}/content", responses=openapi.ARTIFACT | responses("file_not_found", "range_not_satisfiable"))
async def get_content(request: Request, ctx: Ctx, stored: OwnedFile) -> Response:
    """The bytes as they were sent. Takes `Range` and `If-None-Match`."""
    try:
        data = await run_in_threadpool(ctx.files.content, stored)
    except BlobMissing:
        raise Refused("file_not_found", f"the bytes of file {stored.id} are gone") from None
    return send_bytes(request, data, stored.media_type)


@router.delete("/{file_id}", status_code=204, responses=responses("file_not_found"))
async def delete_file(ctx: Ctx, stored: OwnedFile) -> None:
    """Forget a picture. Jobs that were made with it keep their input."""
    await run_in_threadpool(ctx.files.delete, stored)
