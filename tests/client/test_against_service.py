"""Both clients and the command against the real application, its queue and a worker that copies pictures."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner

from client import (
    AsyncRediffuse,
    ConflictError,
    InvalidRequestError,
    JobFailedError,
    NotFoundError,
    Rediffuse,
    RetryPolicy,
    WaitTimeout,
)
from client.cli import app as command
from service.app import create_app
from service.arrays import npy_bytes
from tests.service.api import hole, png, running_worker, settings_in


@dataclass(frozen=True)
class Running:
    url: str
    app: FastAPI


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    settings = settings_in(tmp_path_factory.mktemp("service"))
    with running_worker(settings), socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        yield Running(f"http://127.0.0.1:{listener.getsockname()[1]}", app)
        server.should_exit = True
        thread.join(30)
        app.state.context.queue.close()


@pytest.fixture
def rediffuse(running: Running, quick: RetryPolicy) -> Iterator[Rediffuse]:
    with Rediffuse(running.url, retry=quick) as client:
        yield client


def test_one_call_in_one_picture_out(rediffuse: Rediffuse, tmp_path: Path):
    job = rediffuse.inpaint(png(), hole(), seed=5, noise={"sigma": 0.02}, params={"steps": 3}, metadata={"a": "b"})
    saved = rediffuse.save(job, tmp_path / "out.png")
    ended = rediffuse.job(job)
    assert ended.result.artifacts[0].bytes == saved.stat().st_size
    assert (ended.request["seed"], ended.request["params"]["steps"], ended.metadata) == (5, 3, {"a": "b"})


def test_every_task_is_taken(rediffuse: Rediffuse):
    assert rediffuse.super_resolution(png(), 4, kernel="box").request["scale"] == 4
    assert rediffuse.denoise(png(), noise="auto", output={"format": "tiff"}).request["output"]["format"] == "tiff"
    assert rediffuse.denoise(rediffuse.upload(png()), preview={"every": 2}, deadline_s=60.0).status in (
        "queued",
        "running",
    )


def test_operators_are_sent_and_applied(rediffuse: Rediffuse, tmp_path: Path):
    (tmp_path / "mask.png").write_bytes(hole())
    operator = {"kind": "mask", "mask": tmp_path / "mask.png"}
    job = rediffuse.restore(png(), operator, solver="diffpir", params={"steps": 3}, uncertainty={"samples": 2})
    assert (job.request["operator"]["mask"]["width"], job.request["params"]["steps"]) == (32, 3)
    assert rediffuse.deblur(png(), png(5, 5, mode="L")).request["kernel"]["width"] == 5
    assert rediffuse.apply_operator(png(), operator, noise={"sigma": 0.1}, seed=1).startswith(b"\x89PNG")
    assert rediffuse.apply_operator(png(), operator, output={"format": "npy"}).startswith(b"\x93NUMPY")
    measurement = npy_bytes(np.ones((36, 48)))
    job = rediffuse.restore(measurement, {"kind": "phase"}, noise={"sigma": 0.01}, output={"format": "npy"})
    assert job.request["image"]["media_type"] == "application/x-npy"
    assert rediffuse.result_bytes(rediffuse.wait(job)).startswith(b"\x93NUMPY")
    with pytest.raises(InvalidRequestError, match="kernel"):
        rediffuse.deblur(png(), {"kind": "gaussian", "width": 1e9})


def test_events_are_understood_and_can_be_taken_up(rediffuse: Rediffuse):
    job = rediffuse.denoise(png())
    events = list(rediffuse.events(job))
    kinds = [event.type for event in events]
    assert kinds[0] == "job.queued"
    assert kinds[-1] == "job.succeeded"
    assert {"job.started", "job.progress"} <= set(kinds)
    assert next(event.progress for event in events if event.progress).total_steps == 2
    assert events[-1].job.status == "succeeded"
    assert list(rediffuse.events(job, after=events[-2].id)) == events[-1:]


def test_waiting(rediffuse: Rediffuse):
    seen = []
    job = rediffuse.denoise(png())
    assert rediffuse.wait(job, on_progress=lambda progress: seen.append(progress.step)).status == "succeeded"
    assert seen == [1]
    assert rediffuse.denoise(png(), wait_s=30).status == "succeeded"
    assert rediffuse.wait(rediffuse.denoise(png()).id, timeout_s=15).status == "succeeded"


def test_a_failure_is_told_with_its_reason(rediffuse: Rediffuse):
    with pytest.raises(JobFailedError, match="not finite at step 1") as caught:
        rediffuse.wait(rediffuse.denoise(png(), metadata={"do": "fail"}))
    again = rediffuse.retry(caught.value.job, seed=9)
    assert (again.retry_of, again.request["seed"]) == (caught.value.job.id, 9)


def test_cancel_and_delete(rediffuse: Rediffuse):
    job = rediffuse.denoise(png(), metadata={"do": "hang"})
    with pytest.raises(WaitTimeout):
        rediffuse.wait(job, timeout_s=0.5)
    with pytest.raises(ConflictError):
        rediffuse.delete(job)
    rediffuse.cancel(job)
    with pytest.raises(JobFailedError) as caught:
        rediffuse.wait(job)
    assert caught.value.job.status == "canceled"
    rediffuse.delete(job)
    with pytest.raises(NotFoundError):
        rediffuse.job(job)


def test_refusals_name_their_field(rediffuse: Rediffuse):
    with pytest.raises(InvalidRequestError) as caught:
        rediffuse.denoise(png(), params={"steps": 0})
    assert caught.value.problem.errors[0].pointer == "/params/steps"
    with pytest.raises(InvalidRequestError) as caught:
        rediffuse.inpaint(png(), hole(8, 8))
    assert caught.value.code in ("mask_size_mismatch", "image_too_small")
    with pytest.raises(InvalidRequestError) as caught:
        rediffuse.denoise(b"no picture")
    assert caught.value.code == "unsupported_image"


def test_a_batch(rediffuse: Rediffuse):
    batch = rediffuse.batch("inpaint", [png(seed=1), png(seed=2)], [hole(), hole()], seed=4, priority="low")
    jobs = [rediffuse.wait(item.job_id) for item in batch.items]
    assert {(job.priority, job.request["seed"]) for job in jobs} == {("low", 4)}
    assert {job.id for job in rediffuse.jobs(batch_id=batch.id)} == {job.id for job in jobs}
    assert rediffuse.batch_status(batch).counts["succeeded"] == 2


def test_the_catalogue(rediffuse: Rediffuse):
    assert [prior.id for prior in rediffuse.priors().data] == [
        "denoiser-v4",
        "natural-v0",
        "natural-v1",
        "open-v1",
        "tiny",
    ]
    assert rediffuse.solvers().data[0].name == "red_diff"
    assert {"mask", "downsample", "identity"} <= {operator.name for operator in rediffuse.operators().data}
    assert rediffuse.queue().workers == 1
    assert rediffuse.info().default_prior == "tiny"


class DropsAnswers(httpx.AsyncBaseTransport):
    """Hands requests to the application, and loses the first two answers."""

    def __init__(self, app: FastAPI):
        self.inner = httpx.ASGITransport(app)
        self.losses = 2

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        if self.losses:
            self.losses -= 1
            raise httpx.ReadError("connection reset")
        return response


def test_an_answer_that_is_lost_does_not_run_the_job_twice(running: Running, rediffuse: Rediffuse):
    async def main() -> str:
        transport = DropsAnswers(running.app)
        async with AsyncRediffuse(retry=RetryPolicy(base_s=0.001), transport=transport) as client:
            job = await client.denoise(png(seed=77), client_ref="once")
            return job.id

    job_id = asyncio.run(main())
    assert [job.id for job in rediffuse.jobs() if job.client_ref == "once"] == [job_id]


def test_a_folder_from_the_command_line(running: Running, rediffuse: Rediffuse, tmp_path: Path):
    source = tmp_path / "in"
    (source / "sub").mkdir(parents=True)
    for number, name in enumerate(["a.png", "sub/b.png", "bad.png"]):
        (source / name).write_bytes(b"no picture" if name == "bad.png" else png(seed=100 + number))
    runner = CliRunner(env={"REDIFFUSE_URL": running.url, "COLUMNS": "200"})
    before = len(list(rediffuse.jobs()))
    for _ in range(2):
        result = runner.invoke(command, ["batch", "denoise", str(source), str(tmp_path / "out")])
        assert result.exit_code == 1
        assert "2 of 3 pictures" in result.stdout
        assert "unsupported_image" in result.stderr
    assert (tmp_path / "out" / "sub" / "b.png").exists()
    assert len(list(rediffuse.jobs())) == before + 2
