"""`client._answers` and `client.errors`: refusals become exceptions that say why."""

import base64
import hashlib

import httpx
import pytest

import client
from api_schemas.catalogue import QueueOut
from api_schemas.problems import PROBLEMS, FieldError, problem
from client._answers import check, parse, verified
from client.errors import ProblemError, problem_error


def answered(status: int, **content) -> httpx.Response:
    return httpx.Response(status, request=httpx.Request("GET", "http://here/v1/queue"), **content)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("missing_credentials", client.AuthenticationError),
        ("job_not_found", client.NotFoundError),
        ("job_not_terminal", client.ConflictError),
        ("job_expired", client.GoneError),
        ("mask_size_mismatch", client.InvalidRequestError),
        ("queue_full", client.UnavailableError),
        ("internal", client.ServerError),
    ],
)
def test_each_problem_has_its_exception(code: str, kind: type[ProblemError]):
    sent = problem(code, "the reason")
    with pytest.raises(kind) as caught:
        check(answered(sent.status, content=sent.model_dump_json()))
    assert caught.value.code == code
    assert "the reason" in str(caught.value)


@pytest.mark.parametrize("code", PROBLEMS)
def test_every_code_of_the_service_has_an_exception_of_its_own_kind(code: str):
    assert type(problem_error(problem(code, ""))) is not ProblemError


def test_wrong_fields_are_in_the_message():
    error = FieldError(pointer="/params/steps", code="less_than_equal", detail="must be at most 1000")
    with pytest.raises(client.InvalidRequestError, match="/params/steps: must be at most 1000"):
        check(answered(422, content=problem("validation_failed", "x", errors=[error]).model_dump_json()))


def test_what_a_proxy_says_is_an_exception_too():
    with pytest.raises(client.UnavailableError, match="upstream is away") as caught:
        check(answered(502, text="<h1>upstream is away</h1>"))
    assert caught.value.code == "http_502"


def test_a_redirect_is_not_followed_but_named():
    with pytest.raises(client.UnexpectedAnswer, match="https://there/"):
        check(answered(301, headers={"Location": "https://there/"}))


def test_another_program_at_the_address():
    with pytest.raises(client.UnexpectedAnswer, match="right address"):
        parse(answered(200, json={"hello": "world"}), QueueOut)


def test_a_field_of_a_newer_service_is_no_error():
    sent = {"queued": {}, "running": 0, "workers": 1, "temperature": 20}
    assert parse(answered(200, json=sent), QueueOut).workers == 1


def test_bytes_need_their_digest():
    content = b"picture"
    sha256 = hashlib.sha256(content)
    header = {"Content-Digest": f"sha-256=:{base64.b64encode(sha256.digest()).decode()}:"}
    assert verified(answered(200, content=content, headers=header), sha256.hexdigest()) == content
    with pytest.raises(client.CorruptDownload):
        verified(answered(200, content=b"pictura"), sha256.hexdigest())
    with pytest.raises(client.CorruptDownload):
        verified(answered(200, content=b"pictura", headers=header))
