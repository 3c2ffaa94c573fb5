"""An API with a database, a blob store and a prior of its own, and pictures to send it."""

import io
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi.testclient import TestClient
from PIL import Image

from api_schemas.problems import PROBLEMS
from service.app import create_app
from service.context import Context
from service.queue.dbos_queue import DbosQueue
from service.queue.schema import prepare
from service.settings import Settings
from tests.service.queue.forks import Fork

ROOT = Path(__file__).parent.parent.parent
MANIFEST = {
    "kind": "pixel",
    "size_multiple": 8,
    "trained_size": 64,
    "sigma_min": 0.002,
    "sigma_max": 80.0,
    "parameterisation": "edm",
    "licence": "Apache-2.0",
    "sha256": "ab" * 32,
}


@dataclass(frozen=True)
class Api:
    """A client of a running application, and the parts behind it."""

    http: TestClient
    context: Context

    def send(self, data: bytes, name: str = "a.png") -> str:
        """Store a picture; returns its id."""
        response = self.http.post("/v1/files", files={"file": (name, data)})
        assert response.status_code in (200, 201), response.text
        return response.json()["id"]

    def submit(self, do: str = "", **fields: Any) -> dict[str, Any]:
        """Queue a denoising job; `do` tells the worker of these tests how to behave."""
        body = {"image": {"file_id": self.send(png())}, "metadata": {"do": do}} | fields
        response = self.http.post("/v1/denoise", json=body)
        assert response.status_code == 202, response.text
        return response.json()

    def finish(self, job_id: str) -> dict[str, Any]:
        """The job when it has ended."""
        for _ in range(6):
            job = self.http.get(f"/v1/jobs/{job_id}", params={"wait": 10}).json()
            if job["status"] not in ("queued", "running"):
                return job
        raise AssertionError(f"job {job_id} does not end: {job}")

    def run(self, do: str = "", **fields: Any) -> dict[str, Any]:
        return self.finish(self.submit(do, **fields)["id"])


def settings_in(folder: Path, **changes: Any) -> Settings:
    prior = folder / "models" / "tiny"
    prior.mkdir(parents=True, exist_ok=True)
    (prior / "prior.json").write_text(json.dumps(MANIFEST))
    places = {"data_dir": folder, "models_dir": folder / "models"}
    return Settings(**places | {"default_prior": "tiny", "default_denoiser": "tiny"} | changes)


def add_latent_prior(settings: Settings) -> None:
    """A prior on latents, `sd`, in the models folder; as far as the API reads it."""
    folder = settings.models_dir / "sd"
    folder.mkdir()
    latent = {"kind": "latent", "latent_factor": 8, "parameterisation": "eps", "fully_convolutional": False}
    (folder / "prior.json").write_text(json.dumps(MANIFEST | latent))


@dataclass(frozen=True)
class Process:
    """The API as a process of its own."""

    url: str
    popen: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.popen.pid

    def exit_status(self) -> int:
        return self.popen.wait(30)

    def memory(self) -> int:
        """Largest resident size so far, in bytes (Linux only)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024


@contextmanager
def api_process(settings: Settings) -> Iterator[Process]:
    """`python -m service.api` at a free port; ended by SIGTERM, which it must obey."""
    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-m", "service.api", "--listener", str(listener.fileno())]
    with subprocess.Popen(command, cwd=ROOT, env=environment_of(settings), pass_fds=[listener.fileno()]) as process:
        try:
            assert httpx.get(f"{url}/healthz", timeout=60).status_code == 200
            yield Process(url, process)
        finally:
            process.terminate()
            process.wait(30)
            listener.close()


@contextmanager
def running_api(settings: Settings, **options: Any) -> Iterator[Api]:
    """The application in this process, with its background tasks."""
    app = create_app(settings)
    with TestClient(app, base_url="http://127.0.0.1", **options) as http:
        yield Api(http, app.state.context)
    app.state.context.queue.close()


@contextmanager
def running_worker(settings: Settings) -> Iterator[None]:
    """A real worker of the real queue; its body copies the picture instead of restoring it.

    A process of its own, as DBOS is one to a process: several test modules may have one at a time.
    """
    prepare(settings.resolved_database_url)
    queue = DbosQueue(settings.resolved_database_url)
    environment = environment_of(settings) | {"REDIFFUSE_DRAIN_S": "0"}
    process = Fork("tests.service.copying_worker", environment, settings.data_dir / "worker.log")
    try:
        give_up_at = time.monotonic() + 60
        while not queue.depth().workers:
            assert process.poll() is None and time.monotonic() < give_up_at
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(30)
        queue.close()


def environment_of(settings: Settings) -> dict[str, str]:
    """For a process with these settings."""
    given = settings.model_dump(mode="json", exclude_unset=True)
    return os.environ | {f"REDIFFUSE_{name.upper()}": str(value) for name, value in given.items()}


def png(width: int = 32, height: int = 24, seed: int = 0, mode: str = "RGB") -> bytes:
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    return encoded(Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode))


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def hole(width: int = 32, height: int = 24) -> bytes:
    """A mask whose middle is white."""
    mask = np.zeros((height, width), np.uint8)
    mask[height // 3 : height // 2, width // 3 : width // 2] = 255
    return encoded(Image.fromarray(mask))


def assert_problem(response: httpx.Response, code: str, pointer: str | None = None) -> dict[str, Any]:
    """The answer is this problem, in the one shape that all problems have. Returns it."""
    body = response.json()
    assert body.get("code") == code, body
    assert response.status_code == PROBLEMS[code].status == body["status"]
    assert response.headers["content-type"] == "application/problem+json"
    assert body["type"] == f"/problems/{code}"
    assert body["title"] == PROBLEMS[code].title
    assert body["detail"]
    if pointer is not None:
        assert pointer in [each["pointer"] for each in body["errors"]], body
    return body


MakeApi = Callable[..., Api]
