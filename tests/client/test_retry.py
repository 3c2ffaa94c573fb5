"""`client._retry`: when to try again."""

import email.utils
import time

import httpx
import pytest

from client import ConnectionFailed, RetryPolicy
from client._retry import Attempts, is_temporary, retry_after_s


def test_pauses_double_up_to_the_cap_and_differ_between_clients():
    policy = RetryPolicy(base_s=1, cap_s=5)
    assert all(0.5 <= policy.pause_s(1) <= 1 for _ in range(50))
    assert all(2 <= policy.pause_s(3) <= 4 for _ in range(50))
    assert all(2.5 <= policy.pause_s(20) <= 5 for _ in range(50))
    assert len({policy.pause_s(1) for _ in range(50)}) > 1


def test_the_service_is_never_asked_before_it_said():
    assert all(7 <= RetryPolicy(base_s=1).pause_s(1, retry_after_s=7) <= 8 for _ in range(50))


def test_retry_after_is_read_as_seconds_and_as_a_date():
    in_a_minute = email.utils.formatdate(time.time() + 60, usegmt=True)
    assert retry_after_s(httpx.Response(503, headers={"Retry-After": "4"})) == 4
    assert 50 < retry_after_s(httpx.Response(503, headers={"Retry-After": in_a_minute})) <= 60
    assert retry_after_s(httpx.Response(503, headers={"Retry-After": "soon"})) is None
    assert retry_after_s(httpx.Response(503)) is None


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_temporary_refusals(status: int):
    assert is_temporary(httpx.Response(status))


def test_only_the_conflict_of_a_key_in_flight_is_temporary():
    assert is_temporary(httpx.Response(409, json={"code": "idempotency_in_progress"}))
    assert not is_temporary(httpx.Response(409, json={"code": "job_not_terminal"}))
    assert not is_temporary(httpx.Response(422))
    assert not is_temporary(httpx.Response(500))


def test_the_attempts_end():
    attempts = Attempts(RetryPolicy(retries=2, base_s=0.001), "http://here")
    error = httpx.ConnectError("refused")
    attempts.after_error(error)
    attempts.after_error(error)
    with pytest.raises(ConnectionFailed, match="http://here: refused"):
        attempts.after_error(error)


def test_no_attempt_after_the_deadline():
    attempts = Attempts(RetryPolicy(base_s=10), "http://here", until=time.monotonic() + 1)
    with pytest.raises(ConnectionFailed):
        attempts.after_error(httpx.ReadError("gone"))


def test_an_address_that_is_none_is_tried_once():
    with pytest.raises(ConnectionFailed):
        Attempts(RetryPolicy(), "ftp://here").after_error(httpx.UnsupportedProtocol("ftp"))
