"""The description says what the service does: complete, with valid examples, and held to by random requests."""

from typing import Any

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api_schemas.problems import PROBLEMS
from service.app import create_app
from tests.service.api import settings_in

ENDPOINTS = [
    "POST /v1/inpaint",
    "POST /v1/super-resolution",
    "POST /v1/denoise",
    "POST /v1/deblur",
    "POST /v1/restore",
    "POST /v1/operators/apply",
    "POST /v1/jobs",
    "GET /v1/jobs",
    "GET /v1/jobs/{job_id}",
    "DELETE /v1/jobs/{job_id}",
    "POST /v1/jobs/{job_id}/cancel",
    "POST /v1/jobs/{job_id}/retry",
    "GET /v1/jobs/{job_id}/events",
    "GET /v1/jobs/{job_id}/result",
    "GET /v1/jobs/{job_id}/artifacts/{name}",
    "POST /v1/files",
    "GET /v1/files/{file_id}",
    "DELETE /v1/files/{file_id}",
    "GET /v1/files/{file_id}/content",
    "POST /v1/batches",
    "GET /v1/batches/{batch_id}",
    "GET /v1/batches/{batch_id}/jobs",
    "POST /v1/batches/{batch_id}/cancel",
    "GET /v1/priors",
    "GET /v1/priors/{prior_id}",
    "POST /v1/priors/{prior_id}/load",
    "POST /v1/priors/{prior_id}/unload",
    "GET /v1/solvers",
    "GET /v1/solvers/{name}",
    "GET /v1/operators",
    "GET /v1/queue",
    "GET /v1/info",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
]
CHECKS = [status_code_conformance, content_type_conformance, response_schema_conformance]
METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return create_app(settings_in(tmp_path_factory.mktemp("described")))


@pytest.fixture(scope="module")
def document(app: Any) -> dict[str, Any]:
    return app.openapi()


@pytest.fixture(scope="module")
def described(app: Any) -> Any:
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{method.upper()} {path}", operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in METHODS
    ]


def resolve(document: dict[str, Any], part: Any) -> Any:
    """The schema with every reference pointing into the document."""
    return part | {"components": document["components"]}


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_random_requests_get_described_answers(described: Any, endpoint: str) -> None:
    method, path = endpoint.split()

    @given(case=described[path][method].as_strategy())
    @settings(max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    def check(case: Any) -> None:
        response = case.call()
        assert response.status_code != 500, response.text
        case.validate_response(response, checks=CHECKS)

    check()


def test_every_endpoint_is_there(document: dict[str, Any]) -> None:
    assert {name for name, _ in operations(document)} == set(ENDPOINTS)


def test_every_operation_is_explained_and_has_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        assert operation["description"], name
        good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        bodies = [body for answer in good for body in answer.get("content", {}).values()]
        assert "204" in operation["responses"] or any("example" in body or "binary" in str(body) for body in bodies), (
            name
        )
        for body in operation.get("requestBody", {}).get("content", {}).values():
            assert "example" in body, name


def test_json_examples_fit_their_schemas(document: dict[str, Any]) -> None:
    checked = 0
    for name, operation in operations(document):
        answers = [*operation["responses"].values(), operation.get("requestBody", {})]
        for body in [answer.get("content", {}).get("application/json", {}) for answer in answers]:
            if "example" in body and "schema" in body:
                jsonschema.Draft202012Validator(resolve(document, body["schema"])).validate(body["example"])
                checked += 1
            elif "example" in body:
                pytest.fail(f"{name} has an example without a schema")
    assert checked > 30


def test_every_problem_is_declared_somewhere(document: dict[str, Any]) -> None:
    declared: set[str] = set()
    for _, operation in operations(document):
        for status, answer in operation["responses"].items():
            body = answer.get("content", {}).get("application/problem+json", {})
            declared |= set(body.get("examples", {}))
            assert int(status) < 400 or body["schema"] == {"$ref": "#/components/schemas/Problem"}
    in_jobs = {
        "solver_diverged",
        "out_of_memory",
        "worker_lost",
        "deadline_exceeded",
        "prior_load_failed",
        "input_decode_failed",
    }
    anywhere = {"not_found", "method_not_allowed"}
    assert declared == set(PROBLEMS) - in_jobs - anywhere


def test_the_document_is_whole(document: dict[str, Any]) -> None:
    """Every reference leads somewhere."""
    known = set(document["components"]["schemas"])
    text = str(document)
    used = {part.split("'")[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= known
