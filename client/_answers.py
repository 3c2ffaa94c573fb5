"""From HTTP answers to models, or to the exception that they stand for."""

import base64
import hashlib
from typing import TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from api_schemas.problems import Problem
from client.errors import CorruptDownload, UnexpectedAnswer, problem_error

T = TypeVar("T", bound=BaseModel)


def check(response: httpx.Response) -> None:
    """Raise what a refusal says. The body must be read."""
    if response.is_success:
        return
    if response.status_code < 400:
        target = response.headers.get("location", "nowhere")
        raise UnexpectedAnswer(f"{response.url} answered {response.status_code}, pointing to {target}")
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = foreign_problem(response)
    raise problem_error(problem)


def foreign_problem(response: httpx.Response) -> Problem:
    """What a proxy says in its own words, in our shape."""
    return Problem(
        type="about:blank",
        title=response.reason_phrase or f"HTTP {response.status_code}",
        status=response.status_code,
        code=f"http_{response.status_code}",
        detail=response.text[:200].strip(),
    )


def parse(response: httpx.Response, answer: type[T]) -> T:
    """The model in a successful answer."""
    try:
        return answer.model_validate_json(response.content)
    except ValidationError as error:
        raise UnexpectedAnswer(
            f"{response.url} does not answer as Rediffuse does; is this the right address?"
        ) from error


def verified(response: httpx.Response, sha256: str | None = None) -> bytes:
    """The body, once it has the digest that the job (hexadecimal) and the header `Content-Digest` name."""
    digest = hashlib.sha256(response.content)
    if sha256 is not None and digest.hexdigest() != sha256:
        raise CorruptDownload(f"{response.url} does not have the SHA-256 {sha256}")
    header = response.headers.get("content-digest", "")
    if "sha-256=:" in header:
        claimed = header.split("sha-256=:", 1)[1].split(":", 1)[0]
        if base64.b64encode(digest.digest()).decode() != claimed:
            raise CorruptDownload(f"{response.url} does not have the digest of its header")
    return response.content
