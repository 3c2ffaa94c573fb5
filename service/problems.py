"""Problem answers (RFC 9457): one exception, one table of codes, one shape on the wire.

Exception
├── Refused(code, ...)          raised by this room for every code of `api_schemas.problems.PROBLEMS`
├── imaging.ImageRefused        a picture or a mask; carries a code of the same table
├── RequestValidationError      a query, path or header parameter, found by FastAPI
├── HTTPException               an unknown path or method, found by Starlette
├── ClientDisconnect            the client hung up while it was sending
├── OUTAGES                     the database or the store is away or full: `storage_unavailable`; the cause is logged
└── anything else               a bug: `internal` with a trace id; the traceback goes to the log only
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import uuid4

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from obstore.exceptions import BaseError as StoreError
from pydantic import ValidationError
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from api_schemas.problems import PROBLEMS, FieldError, Problem, problem
from service.imaging import ImageRefused

MEDIA_TYPE = "application/problem+json"
OF_STATUS = {400: "malformed_request", 404: "not_found", 405: "method_not_allowed", 413: "file_too_large"}
"""Codes of what Starlette refuses by itself."""

OUTAGES = (OperationalError, NoConnection, StoreError)
"""What the libraries below raise when a disk is full or a server is away."""
AFTER_OUTAGE_S = 10

OF_FIELD = {"kernel": "kernel_invalid", "operator": "operator_invalid"}
"""Fields of a body that have a code of their own."""

Location = Sequence[str | int]


class Refused(Exception):
    """A request that is answered with a problem."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(detail)
        self.problem = problem(code, detail, errors=list(errors))
        self.headers = dict(headers or {})


def wrong_field(pointer: str, code: str, detail: str, *, problem_code: str = "validation_failed") -> Refused:
    """One field is wrong."""
    return Refused(problem_code, f"{pointer}: {detail}", errors=[FieldError(pointer=pointer, code=code, detail=detail)])


def refused_by_pydantic(error: ValidationError, sent: Any) -> Refused:
    """A body that does not fit its model; `sent` is the body as it was parsed, to find the pointers in."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    if found[0]["type"] == "json_invalid":
        return Refused("malformed_request", found[0]["msg"])
    return refused_fields([field_error(pointer(each["loc"], sent, each["type"]), each) for each in found])


def refused_fields(errors: Sequence[FieldError]) -> Refused:
    first = errors[0]
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    codes = {code_of(each) for each in errors}
    code = codes.pop() if len(codes) == 1 else "validation_failed"
    return Refused(code, f"{first.pointer or 'the body'}: {first.detail}{others}", errors=errors)


def code_of(error: FieldError) -> str:
    """That of the field, unless the field is not there at all."""
    _, field, *inside = f"{error.pointer}/".split("/")
    if error.code == "missing" and inside == [""]:
        return "validation_failed"
    return OF_FIELD.get(field, "validation_failed")


def field_error(where: str, found: Mapping[str, Any]) -> FieldError:
    """One error of pydantic, at a JSON pointer."""
    return FieldError(pointer=where, code=found["type"], detail=found["msg"].removeprefix("Value error, "))


def pointer(location: Location, sent: Any, kind: str) -> str:
    """JSON pointer of a pydantic location. Names of union branches, which are not in what was sent, are left out.

    A branch that is told by `kind` comes first in its object, where a field of the same name (a mask's `mask`) may be.
    """
    if kind in ("union_tag_not_found", "union_tag_invalid") and not location:
        return "/task"
    parts: list[str] = []
    branch = None
    for index, part in enumerate(location):
        if part == branch:
            branch = None
            continue
        is_item = isinstance(sent, list) and isinstance(part, int) and part < len(sent)  # a tuple may be too short
        inside = is_item or (isinstance(sent, dict) and part in sent)
        if inside:
            sent = sent[part]
            branch = sent.get("kind") if isinstance(sent, dict) else None
        if inside or (kind == "missing" and index == len(location) - 1):
            parts.append(str(part).replace("~", "~0").replace("/", "~1"))
    return "".join(f"/{part}" for part in parts)


def answer(found: Problem, request: Request, headers: Mapping[str, str] | None = None) -> Response:
    body = found.model_copy(update={"instance": request.url.path}).model_dump(mode="json")
    return Response(json.dumps(body), status_code=found.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


async def on_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return answer(error.problem, request, error.headers)


async def on_image_refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ImageRefused)
    return answer(problem(error.code, error.detail), request)


async def on_validation_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [field_error("".join(f"/{part}" for part in each["loc"]), each) for each in error.errors()]
    return answer(refused_fields(errors).problem, request)


async def on_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = OF_STATUS.get(error.status_code, "internal")
    return answer(problem(code, f"{request.method} {request.url.path}: {error.detail}"), request, error.headers)


async def on_disconnect(request: Request, error: Exception) -> Response:
    """The client went away while it was sending; nobody reads this answer."""
    return answer(problem("malformed_request", "the connection was closed before the body ended"), request)


async def on_outage(request: Request, error: Exception) -> Response:
    structlog.get_logger().error("storage failed", path=request.url.path, reason=str(error)[:500])
    found = problem("storage_unavailable", "the request was not carried out; try again later")
    return answer(found, request, {"Retry-After": str(AFTER_OUTAGE_S)})


async def on_bug(request: Request, error: Exception) -> Response:
    trace_id = uuid4().hex
    structlog.get_logger().error("request failed", path=request.url.path, trace_id=trace_id, exc_info=error)
    return answer(problem("internal", f"trace id {trace_id}"), request)


def install(app: FastAPI) -> None:
    """Answer everything that goes wrong with a problem."""
    app.add_exception_handler(Refused, on_refused)
    app.add_exception_handler(ImageRefused, on_image_refused)
    app.add_exception_handler(RequestValidationError, on_validation_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(ClientDisconnect, on_disconnect)
    for outage in OUTAGES:
        app.add_exception_handler(outage, on_outage)
    app.add_exception_handler(Exception, on_bug)


def responses(*codes: str) -> dict[int | str, dict[str, Any]]:
    """What a route declares in OpenAPI: its problems, by status, with an example of each."""
    declared: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = PROBLEMS[code]
        entry = declared.setdefault(
            kind.status,
            {"content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}, "examples": {}}}},
        )
        example = problem(code, kind.title, instance="/v1/...").model_dump(mode="json")
        entry["content"][MEDIA_TYPE]["examples"][code] = {"value": example}
        entry["description"] = ", ".join(f"`{name}`" for name in entry["content"][MEDIA_TYPE]["examples"])
    return declared
