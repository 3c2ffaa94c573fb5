"""The description that `/openapi.json` gives: request bodies, answers and an example of each."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from api_schemas.problems import Problem
from api_schemas.requests import PICTURES, REQUESTS, ApplyRequest, BatchRequest, RetryRequest
from service import examples
from service.attachments import ATTACHMENTS
from service.problems import responses

BODIES = (*REQUESTS.values(), ApplyRequest, RetryRequest, BatchRequest, Problem)
REF = "#/components/schemas/"
BINARY = {"type": "string", "format": "binary"}


def json_body(schema: dict[str, Any], example: Any, *, required: bool = True) -> dict[str, Any]:
    return {"requestBody": {"required": required, "content": {"application/json": content(schema, example)}}}


def content(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"schema": schema, "example": example}


def task_body(task: str) -> dict[str, Any]:
    """The two forms of a task's request."""
    model = (REQUESTS | {"apply": ApplyRequest})[task]
    body = json_body({"$ref": REF + model.__name__}, examples.REQUESTS[task])
    form = form_schema(task, model.model_json_schema(ref_template=REF + "{model}"))
    body["requestBody"]["content"]["multipart/form-data"] = content(form, examples.FORMS[task])
    return body


def form_schema(task: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A request model as a form: pictures are files, objects are JSON text; files may stand for what is nested."""
    attached = ATTACHMENTS.get(task, ())
    files = {name: BINARY for name in (*PICTURES[task], *attached)}
    properties = {key: value for key, value in schema["properties"].items() if key != "task"} | files
    required = [name for name in schema["required"] if name != "kernel" or "kernel_image" not in attached]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def job_body() -> dict[str, Any]:
    models = [{"$ref": REF + model.__name__} for model in REQUESTS.values()]
    mapping = {task: REF + model.__name__ for task, model in REQUESTS.items()}
    schema = {"oneOf": models, "discriminator": {"propertyName": "task", "mapping": mapping}}
    return json_body(schema, examples.REQUESTS["denoise"] | {"task": "denoise"})


def file_body() -> dict[str, Any]:
    properties = {"file": BINARY, "expires_in": {"type": "number", "description": "seconds", "exclusiveMinimum": 0}}
    schema = {"type": "object", "properties": properties, "required": ["file"], "additionalProperties": False}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": content(schema, {"file": "@a.png"})}}}


def success(status: int, description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    """A JSON answer; its schema is that of the route's return type, or of `model` where it is given."""
    return {status: {"description": description, "content": {"application/json": {"example": example}}}}


def job_answer(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    return {
        status: {
            "description": description,
            "content": {"application/json": content({"$ref": REF + "Job"}, examples.JOB)},
        }
    }


def pictures(*media_types: str) -> dict[str, Any]:
    return {name: {"schema": BINARY} for name in media_types}


def file_answer(status: int, description: str) -> dict[int | str, dict[str, Any]]:
    media = content({"$ref": REF + "FileInfo"}, examples.FILE)
    return {status: {"description": description, "content": {"application/json": media}}}


def creates_job(*refusals: str) -> dict[int | str, dict[str, Any]]:
    """Answers of a route that creates a job."""
    waited = job_answer(200, "the ended job, with `Prefer: wait`; the picture where only pictures are accepted")
    waited[200]["content"] |= IMAGES
    queued = job_answer(202, "the job is queued, at `Location`")
    return waited | queued | responses(*refusals)


def applies(*refusals: str) -> dict[int | str, dict[str, Any]]:
    """Answers of the route that applies an operator."""
    picture = {"description": "the picture, or the job", "content": IMAGES | {"application/json": JOB}}
    return {200: picture} | responses(*refusals)


JOB = content({"$ref": REF + "Job"}, examples.JOB)
IMAGES = pictures("image/png", "image/tiff", "image/webp", "image/jpeg", "application/x-npy")
ALL_FILES = IMAGES | pictures("image/gif", "image/bmp", "application/octet-stream")
UNCHANGED: dict[int | str, dict[str, Any]] = {304: {"description": "as in `If-None-Match`"}}
RESULT = UNCHANGED | {
    200: {
        "description": "the picture, or the job",
        "content": IMAGES | {"application/json": JOB},
    },
    206: {"description": "the part that `Range` asks for", "content": IMAGES},
}
ARTIFACT = UNCHANGED | {
    200: {"description": "the file", "content": ALL_FILES},
    206: {"description": "the part that `Range` asks for", "content": ALL_FILES},
}
EVENTS: dict[int | str, dict[str, Any]] = {
    200: {"description": "the events", "content": {"text/event-stream": {"example": examples.EVENT_STREAM}}}
}
METRICS: dict[int | str, dict[str, Any]] = {
    200: {"description": "the figures", "content": {"text/plain": content({"type": "string"}, examples.METRICS)}}
}


def describe(app: FastAPI) -> dict[str, Any]:
    """The whole document, made once."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes, tags=app.openapi_tags
        )
        _, definitions = models_json_schema([(model, "validation") for model in BODIES], ref_template=REF + "{model}")
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name, schema in definitions["$defs"].items():
            schemas.setdefault(name, schema)
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        app.openapi_schema = document
    return app.openapi_schema
