"""How both clients set up httpx."""

import ipaddress
from typing import Any

import httpx

from client._requests import Request
from client.errors import ConnectionFailed

DEFAULT_URL = "http://127.0.0.1:8000"
CONNECT_TIMEOUT_S = 10.0


def connection_options(base_url: str, api_key: str | None, timeout_s: float) -> dict[str, Any]:
    """Arguments of `httpx.Client` and `httpx.AsyncClient`. Raises `ConnectionFailed` for a URL that cannot be one."""
    try:
        url = httpx.URL(base_url)
    except httpx.InvalidURL as error:
        raise ConnectionFailed(base_url, str(error)) from error
    return {
        "base_url": url,
        "headers": {"Accept": "application/json"} | ({} if api_key is None else {"Authorization": f"Bearer {api_key}"}),
        "timeout": httpx.Timeout(timeout_s, connect=min(CONNECT_TIMEOUT_S, timeout_s)),
        "limits": httpx.Limits(
            max_connections=None, max_keepalive_connections=20
        ),  # each job that is followed takes one
        # A proxy of the environment cannot reach this machine's own service.
        "trust_env": not is_loopback(url.host),
    }


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def request_options(request: Request[Any], usual: httpx.Timeout, silence_s: float | None = None) -> dict[str, Any]:
    """Arguments of `httpx.Client.build_request`. `silence_s`: how long the answer may pause, for a stream."""
    read_s = (usual.read or 0.0) + request.answer_delay_s if silence_s is None else silence_s
    options: dict[str, Any] = {
        "method": request.method,
        "url": request.path,
        "params": dict(request.params),
        "headers": dict(request.headers),
        "timeout": httpx.Timeout(read=read_s, connect=usual.connect, write=usual.write, pool=usual.pool),
    }
    if request.json is not None:
        options["json"] = request.json
    if request.form is not None:
        options["data"] = dict(request.form)
        options["files"] = [(name, (file.filename, file.content, file.media_type)) for name, file in request.files]
    return options
