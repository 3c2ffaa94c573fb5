"""Request bodies: read with a limit, as JSON or as a form, into the models of the wire.

The bodies are read here and not by FastAPI, because one address takes both content types, and because a body over the
limit must be refused with a problem before it is read.
"""

import json
import math
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from fastapi import Request
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from api_schemas.images import ImageRef
from api_schemas.problems import FieldError
from api_schemas.requests import OPTIONS, PICTURES, REQUESTS, ApplyOptions, ApplyRequest
from service.attachments import ATTACHMENTS, attach
from service.problems import Refused, refused_by_pydantic, refused_fields, wrong_field

FORM_OVERHEAD = 2**20
"""Bytes of a body that are not pictures."""

NESTED = ("params", "noise", "output", "preview", "metadata", "uncertainty", "kernel", "operator")
"""Form fields that hold JSON text."""
WORDS = {"noise": ("auto",), "kernel": ("bicubic", "box")}
"""What some of them may hold besides."""
MODELS: dict[str, tuple[Any, Any]] = {task: (OPTIONS[task], REQUESTS[task]) for task in OPTIONS} | {
    "apply": (ApplyOptions, ApplyRequest)
}
"""Of each task: the options, and these with the pictures, as JSON holds both."""

Model = TypeVar("Model")
Picture = bytes | ImageRef


@dataclass(frozen=True)
class TaskBody:
    """What a client asked for, with its pictures as they came."""

    options: Any
    """`CommonOptions` of a restoring task, or `ApplyOptions`."""
    image: Picture
    mask: Picture | None


def media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def limited(request: Request, limit: int) -> AsyncGenerator[bytes, None]:
    """The body in chunks; refused by its announced length, or as soon as `limit` bytes are passed."""
    refused = Refused("file_too_large", f"the body has more than {limit} bytes", headers={"Connection": "close"})
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise refused
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > limit:
            raise refused
        yield chunk


async def read_json(request: Request, model: Any, max_file_bytes: int, *, empty: bytes | None = None) -> Any:
    """A JSON body as `model`. `empty` stands for a body without bytes."""
    if media_type(request) != "application/json" and not (empty is not None and not media_type(request)):
        raise Refused("unsupported_media_type", "send `Content-Type: application/json`")
    limit = math.ceil(2 * max_file_bytes * 4 / 3) + FORM_OVERHEAD  # two pictures as base64
    body = b"".join([chunk async for chunk in limited(request, limit)])
    return parse_json(model, body or empty or b"")


def parse_json(model: Any, body: bytes | str) -> Any:
    """JSON text as a model of the wire. Strict: a text is no number, and 1 is no truth value."""
    try:
        return TypeAdapter(model).validate_json(body, strict=True)
    except ValidationError as error:
        raise refused_by_pydantic(error, loose_json(body)) from None


def loose_json(body: bytes | str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


async def read_task(request: Request, task: str, max_file_bytes: int) -> TaskBody:
    """The request of one task, by its content type: a form or JSON."""
    kind = media_type(request)
    if kind == "application/json":
        return from_json(await read_json(request, MODELS[task][1], max_file_bytes))
    if kind != "multipart/form-data":
        raise Refused("unsupported_media_type", "send `multipart/form-data` or `application/json`")
    files = max(2, len(PICTURES[task]) + len(ATTACHMENTS.get(task, ())))  # a mask too many is refused by its name
    return await from_form(await read_form(request, max_file_bytes, files=files), task, max_file_bytes)


def from_json(body: Any) -> TaskBody:
    """A task's request model, with its pictures apart from its options."""
    image, mask = pictures_of(body.task, {name: getattr(body, name) for name in PICTURES[body.task]})
    model = MODELS[body.task][0]
    values = {name: getattr(body, name) for name in model.model_fields}
    fields = body.model_fields_set & values.keys()
    return TaskBody(model.model_construct(_fields_set=fields, **values), image, mask)


def pictures_of(task: str, found: dict[str, Any]) -> tuple[Picture, Picture | None]:
    """What is restored, and its mask. Raises `validation_failed` where the first is missing."""
    image, *others = PICTURES[task]
    if found.get(image) is None:
        raise wrong_field(f"/{image}", "missing", "Field required")
    return found[image], found.get(others[0]) if others else None


class CompleteForm(MultiPartParser):
    """Knows whether the closing boundary came: what lies behind a cut would be lost without a word."""

    is_complete = False

    def on_end(self) -> None:
        self.is_complete = True


async def read_form(request: Request, max_file_bytes: int, *, files: int) -> FormData:
    stream = limited(request, files * max_file_bytes + FORM_OVERHEAD)
    parser = CompleteForm(request.headers, stream, max_files=files, max_fields=40, max_part_size=FORM_OVERHEAD)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise Refused("malformed_request", error.message) from None
    except UnicodeError:  # some of Python's codecs, like `undefined`, decode nothing at all
        raise Refused("malformed_request", "the names in the form are not in the charset of its content type") from None
    if not parser.is_complete:
        await form.close()
        raise Refused("malformed_request", "the form ends before its closing boundary")
    return form


async def from_form(form: FormData, task: str, max_file_bytes: int) -> TaskBody:
    """Files for the pictures, and for what is nested in other fields; every other field is an option."""
    try:
        check_names(form)
        pictures = {name: await picture(form[name], name, max_file_bytes) for name in PICTURES[task] if name in form}
        attached = {name: form[name] for name in ATTACHMENTS.get(task, ()) if isinstance(form.get(name), UploadFile)}
        files = {name: await picture(value, name, max_file_bytes) for name, value in attached.items()}
        options = {name: value for name, value in form.items() if name not in pictures | files}
    finally:
        await form.close()
    image, mask = pictures_of(task, pictures)
    sent = {name: option(name, value) for name, value in options.items()}
    for name, data in files.items():
        attach(sent, name, data)
    try:
        return TaskBody(MODELS[task][0].model_validate(sent), image, mask)
    except ValidationError as error:
        raise refused_by_pydantic(error, sent) from None


def check_names(form: FormData) -> None:
    names = [name for name, _ in form.multi_items()]
    if twice := {name for name in names if names.count(name) > 1}:
        raise refused_fields(
            [FieldError(pointer=f"/{name}", code="repeated", detail="given more than once") for name in sorted(twice)]
        )


def option(name: str, value: Any) -> Any:
    """The value of a form field, parsed where its name says that it is nested."""
    if isinstance(value, UploadFile):
        raise wrong_field(f"/{name}", "file_unexpected", "this field takes text, not a file")
    if name not in NESTED or value in WORDS.get(name, ()):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        detail = "this form field takes JSON text" + "".join(f", or `{word}`" for word in WORDS.get(name, ()))
        raise refused_fields([FieldError(pointer=f"/{name}", code="json_invalid", detail=detail)]) from None


async def picture(value: str | UploadFile, name: str, max_file_bytes: int) -> Picture:
    """A picture in a form: a file, or an image reference as JSON text."""
    if isinstance(value, str):
        try:
            return TypeAdapter(ImageRef).validate_json(value, strict=True)
        except ValidationError:
            detail = "send a file, or `file_id` or `data_url` as JSON text"
            raise wrong_field(f"/{name}", "image_reference", detail) from None
    if (value.size or 0) > max_file_bytes:
        detail = f"{value.size:,} bytes; the limit is {max_file_bytes:,}"
        raise wrong_field(f"/{name}", "too_large", detail, problem_code="file_too_large")
    return await value.read()


async def read_file(request: Request, max_file_bytes: int, max_expires_s: float) -> tuple[bytes, float | None]:
    """The form of `/v1/files`: `file`, and in how many seconds it may go."""
    if media_type(request) != "multipart/form-data":
        raise Refused("unsupported_media_type", "send `multipart/form-data`")
    form = await read_form(request, max_file_bytes, files=1)
    try:
        check_names(form)
        for name in set(form) - {"file", "expires_in"}:
            raise wrong_field(f"/{name}", "extra_forbidden", "Extra inputs are not permitted")
        sent = form.get("file")
        if not isinstance(sent, UploadFile):
            raise wrong_field("/file", "missing", "a file is needed")
        data = await picture(sent, "file", max_file_bytes)
    finally:
        await form.close()
    assert isinstance(data, bytes)
    return data, expiry(form.get("expires_in"), max_expires_s)


def expiry(value: Any, longest: float) -> float | None:
    if value is None:
        return None
    try:
        return TypeAdapter(Annotated[float, Field(gt=0, le=longest, allow_inf_nan=False)]).validate_python(value)
    except ValidationError as error:
        raise wrong_field("/expires_in", "number", error.errors()[0]["msg"]) from None


def canonical(model: BaseModel) -> str:
    """What a client sent, in one spelling, for the fingerprint of its request."""
    return model.model_dump_json(exclude_unset=True)


def spelling(picture: Picture | None) -> str | bytes:
    """What a client sent as a picture, for the fingerprint."""
    return canonical(picture) if isinstance(picture, ImageRef) else picture or b""
