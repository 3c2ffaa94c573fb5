"""Bodies over the limit, against a real server: answered at once, and never held in memory."""

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.service.api import Process, api_process, assert_problem, settings_in

LIMIT = 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder: Path = tmp_path_factory.mktemp("limited")
    with api_process(settings_in(folder, max_file_bytes=LIMIT)) as process:
        yield process


def raw(server: Process, head: str, body: bytes = b"") -> tuple[int, dict[str, str]]:
    """Status and problem of a request that is written by hand; the answer must come without more being sent."""
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=30) as connection:
        connection.sendall(f"POST /v1/denoise HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n".encode() + body)
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.endswith(b"}"):
            chunk = connection.recv(65536)
            if not chunk:
                break
            answer += chunk
    start, _, text = answer.partition(b"\r\n\r\n")
    return int(start.split()[1]), json.loads(text)


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=b"])
def test_an_announced_excess_is_refused_before_it_is_sent(server: Process, kind: str) -> None:
    status, found = raw(server, f"Content-Type: {kind}\r\nContent-Length: {10**12}")
    assert (status, found["code"]) == (413, "file_too_large")


def endless(count: int) -> Iterator[bytes]:
    yield b'--b\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
    for _ in range(count):
        yield b"\0" * 2**16


def test_an_unannounced_excess_is_cut_off(server: Process) -> None:
    before = server.memory()
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    with httpx.Client(timeout=60) as http:
        try:
            response = http.post(f"{server.url}/v1/denoise", content=endless(4000), headers=headers)
        except httpx.WriteError:
            pass  # the server hung up while we were sending; a client may see this before the answer
        else:
            assert_problem(response, "file_too_large")
    assert server.memory() - before < 60 * LIMIT
    assert httpx.get(f"{server.url}/healthz", timeout=30).status_code == 200


def test_a_client_that_hangs_up_harms_nobody(server: Process) -> None:
    address = urlsplit(server.url)
    with socket.create_connection((address.hostname or "", address.port or 0)) as connection:
        head = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000"
        connection.sendall(f"POST /v1/denoise HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}\r\n\r\n--b".encode())
    refused = 'http_requests_total{code="400",route="/v1/denoise"} 1.0'
    for _ in range(100):
        text = httpx.get(f"{server.url}/metrics", timeout=30).text
        if refused in text:
            break
        time.sleep(0.05)
    assert refused in text
    assert 'code="500"' not in text
