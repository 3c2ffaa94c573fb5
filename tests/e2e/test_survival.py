"""The whole service loses its processes in the middle of real jobs, on SQLite and on PostgreSQL, and loses no job."""

import io
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image

from priors.store import write_prior
from tests.priors.denoisers import random_network
from tests.service.queue.processes import wait_for
from tests.service_process import Service, children, command, running_service

MANIFEST = {
    "kind": "pixel",
    "parameterisation": "residual",
    "time_map": "sigma",
    "sigma_min": 0.005,
    "sigma_max": 80.0,
    "trained_size": 64,
    "size_multiple": 4,
    "licence": "public domain",
}
TRIAL, MOST = 60, 1000
"""Steps of a job that shows how fast the machine is, and of any job."""
LASTING_S = 4.0
"""Of a job: enough for a signal to arrive in the middle."""


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that needs nothing but torch, since it is loaded by six workers. It changes a picture a little."""
    folder = tmp_path_factory.mktemp("models")
    network = random_network("NoiseMapUNet")
    network.tail.weight.mul_(0.1)
    write_prior(folder / "random", network, MANIFEST)
    return folder


@pytest.fixture
def start(database_url: str, models: Path, tmp_path: Path) -> Any:
    """`with start() as service:` on the same data, each time."""

    @contextmanager
    def start() -> Iterator[Service]:
        settings = {"database_url": database_url, "models_dir": str(models), "default_prior": "random"}
        with running_service(tmp_path / "data", threads="1", **settings) as service:
            yield service

    return start


def noisy_picture() -> bytes:
    samples = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(samples).save(out, "PNG")
    return out.getvalue()


def submit(http: httpx.Client, steps: int) -> str:
    form = {"solver": "red_diff", "seed": "7", "params": f'{{"steps": {steps}}}', "noise": '{"sigma": 0.1}'}
    answer = http.post("/v1/denoise", files={"image": ("a.png", noisy_picture())}, data=form)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def job(http: httpx.Client, job_id: str, wait_s: float = 0) -> dict[str, Any]:
    """As it is, or as it has become after so long at most."""
    return http.get(f"/v1/jobs/{job_id}", params={"wait": wait_s}).json()


def wait_until_in_the_middle(http: httpx.Client, job_id: str) -> None:
    wait_for(lambda: (job(http, job_id)["progress"] or {"step": 0})["step"] > 0, "progress")
    assert job(http, job_id)["status"] == "running"


def finish(http: httpx.Client, job_id: str) -> dict[str, Any]:
    def has_ended() -> bool:
        try:
            return job(http, job_id, wait_s=10)["status"] not in ("queued", "running")
        except httpx.TransportError:  # the API died with our connection
            return False

    wait_for(has_ended, "the end of the job", within_s=120)
    return job(http, job_id)


def process_of(service: Service, module: bytes) -> int:
    return next(pid for pid in children(service.process.pid) if module in command(pid))


def test_every_process_may_die_and_each_job_ends_once_with_the_same_picture(start: Any) -> None:
    with start() as service, httpx.Client(base_url=service.url, timeout=60) as http:
        trial = finish(http, submit(http, TRIAL))
        assert trial["timings"]["load_s"] > 0  # the first job of a worker waits for the prior
        steps = min(MOST, max(TRIAL, round(TRIAL * LASTING_S / trial["timings"]["run_s"])))
        undisturbed = finish(http, submit(http, steps))
        assert undisturbed["status"] == "succeeded", undisturbed
        picture = http.get(f"/v1/jobs/{undisturbed['id']}/result").content
        batches = f'rediffuse_engine_batch_size_count{{prior="random"}} {TRIAL + steps}.0'
        wait_for(lambda: batches in http.get("/metrics").text, "the batches in the metrics")

        first = submit(http, steps)
        wait_until_in_the_middle(http, first)
        os.kill(process_of(service, b"service.worker"), signal.SIGKILL)
        ended = finish(http, first)
        assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
        assert http.get(f"/v1/jobs/{first}/result").content == picture
        stream = http.get(f"/v1/jobs/{first}/events", headers={"Accept": "text/event-stream"}).text
        assert stream.count("event: job.succeeded") == 1 and stream.count("event: job.started") == 2

        second = submit(http, steps)
        wait_until_in_the_middle(http, second)
        os.kill(process_of(service, b"service.api"), signal.SIGKILL)
        ended = finish(http, second)  # its port stays open: new connections wait for the new process
        assert (ended["status"], ended["attempt"]) == ("succeeded", 1)
        assert ended["timings"]["load_s"] == 0
        assert http.get(f"/v1/jobs/{second}/result").content == picture

        third = submit(http, steps)
        wait_until_in_the_middle(http, third)
        orphans = children(service.process.pid)
        service.process.kill()
        service.process.wait()
        wait_for(lambda: not any(b"service." in command(pid) for pid in orphans), "the end of the orphans")

    with start() as service, httpx.Client(base_url=service.url, timeout=60) as http:
        ended = finish(http, third)
        assert (ended["status"], ended["attempt"]) == ("succeeded", 2)
        assert http.get(f"/v1/jobs/{third}/result").content == picture
        assert len(http.get("/v1/jobs").json()["data"]) == 5
        assert service.stop() == 0
