"""Waiting for jobs: one poller for everybody, nothing missed, nothing left hanging."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import fastapi.routing
import httpx
import pytest

from service.events import JobWatcher
from service.queue.base import JobRecord, StoredEvent
from tests.service.api import Api, api_process, png, settings_in

Seen = list[StoredEvent | JobRecord]


class Counted:
    """The real queue, with its two reads counted and, once, out of order."""

    def __init__(self, queue: Any, failures: int = 0):
        self.queue = queue
        self.failures = failures
        self.reads: list[tuple[str, int]] = []

    def get_many(self, job_ids: Sequence[str]) -> list[JobRecord]:
        self.reads.append(("get_many", len(job_ids)))
        if self.failures:
            self.failures -= 1
            raise ConnectionError("the database is away")
        return self.queue.get_many(job_ids)

    def events_after(self, cursors: dict[str, int]) -> list[StoredEvent]:
        self.reads.append(("events_after", len(cursors)))
        return self.queue.events_after(cursors)


async def follow(watcher: JobWatcher, job_id: str, after: int = 0) -> Seen:
    return [event async for event in watcher.follow(job_id, after)]


def test_the_cost_does_not_grow_with_the_clients(idle: Api) -> None:
    jobs = [idle.submit()["id"] for _ in range(3)]
    queue = Counted(idle.context.queue)
    watcher = JobWatcher(queue, interval_s=0.02)  # type: ignore[arg-type]

    async def scene() -> list[Seen]:
        clients = [asyncio.create_task(follow(watcher, job_id)) for job_id in jobs for _ in range(20)]
        await asyncio.sleep(0.2)
        for job_id in jobs:
            await asyncio.to_thread(idle.context.queue.cancel, job_id)
        return await asyncio.wait_for(asyncio.gather(*clients), 20)

    for seen in asyncio.run(scene()):
        assert [getattr(each, "type", "end") for each in seen] == ["job.queued", "end"]
    names = [name for name, _ in queue.reads]
    assert names == ["get_many", "events_after"] * (len(names) // 2)  # two reads a round, whoever listens
    assert max(count for _, count in queue.reads) == len(jobs)


def test_the_poller_rests_when_nobody_waits(idle: Api) -> None:
    job_id = idle.submit()["id"]
    queue = Counted(idle.context.queue)
    watcher = JobWatcher(queue, interval_s=0.01)  # type: ignore[arg-type]

    async def scene() -> tuple[int, int]:
        await watcher.wait_for_end(job_id, 0.1)
        await asyncio.sleep(0.1)
        before = len(queue.reads)
        await asyncio.sleep(0.1)
        return before, len(queue.reads)

    before, after = asyncio.run(scene())
    assert before == after > 0


def test_an_outage_of_the_queue_ends_no_stream(idle: Api) -> None:
    job = idle.submit()
    idle.http.post(job["links"]["cancel"])
    watcher = JobWatcher(Counted(idle.context.queue, failures=2), interval_s=0.01)  # type: ignore[arg-type]
    seen = asyncio.run(asyncio.wait_for(follow(watcher, job["id"]), 20))
    assert [getattr(each, "type", "end") for each in seen] == ["job.queued", "end"]


def test_the_stream_of_a_deleted_job_ends(idle: Api) -> None:
    assert asyncio.run(asyncio.wait_for(follow(JobWatcher(idle.context.queue), "gone"), 20)) == []


def test_a_slow_reader_misses_nothing(idle: Api) -> None:
    """It gets no more before it has read what it got, so what waits for it is bounded by the log."""
    job_id = idle.submit()["id"]
    watcher = JobWatcher(idle.context.queue, interval_s=0.01)

    async def scene() -> Seen:
        seen: Seen = []
        async for event in watcher.follow(job_id, 0):
            seen.append(event)
            await asyncio.to_thread(idle.context.queue.cancel, job_id)
            await asyncio.sleep(0.2)
        return seen

    seen = asyncio.run(asyncio.wait_for(scene(), 20))
    assert [getattr(each, "type", "end") for each in seen] == ["job.queued", "end"]


def test_a_silent_stream_beats(idle: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fastapi.routing._PING_INTERVAL == 15
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.05)
    job = idle.submit()
    timer = threading.Timer(1, lambda: idle.context.queue.cancel(job["id"]))
    timer.start()
    text = idle.http.get(job["links"]["events"]).text
    timer.join()
    assert text.count(": ping\n\n") > 1
    assert text.endswith("id: 2\n\n")


@contextmanager
def stream(url: str, job_id: str, after: int = 0) -> Any:
    headers = {"Last-Event-ID": str(after)}
    with httpx.stream("GET", f"{url}/v1/jobs/{job_id}/events", headers=headers, timeout=30) as response:
        yield response.iter_lines()


def until(lines: Any, is_it: Callable[[str], bool]) -> str:
    return next(line for line in lines if is_it(line))


def test_events_arrive_while_they_happen(tmp_path: Path) -> None:
    with api_process(settings_in(tmp_path)) as api:
        sent = httpx.post(f"{api.url}/v1/denoise", files={"image": ("a.png", png())}, timeout=30)
        job_id = sent.json()["id"]
        with stream(api.url, job_id) as lines:
            assert until(lines, lambda line: line.startswith("event")) == "event: job.queued"
            httpx.post(f"{api.url}/v1/jobs/{job_id}/cancel", timeout=30)
            assert until(lines, lambda line: line.startswith("event")) == "event: job.canceled"
            data = json.loads(until(lines, lambda line: line.startswith("data")).removeprefix("data: "))
            assert (data["id"], data["status"]) == (job_id, "canceled")
            assert list(lines)[-1] == ""  # the server closes
        with stream(api.url, job_id, after=1) as lines:
            assert until(lines, lambda line: line.startswith("event")) == "event: job.canceled"


def test_an_open_stream_does_not_keep_the_process(tmp_path: Path) -> None:
    with api_process(settings_in(tmp_path)) as api:
        job_id = httpx.post(f"{api.url}/v1/denoise", files={"image": ("a.png", png())}, timeout=30).json()["id"]
        with stream(api.url, job_id) as lines:
            until(lines, lambda line: line.startswith("event"))
            os.kill(api.pid, signal.SIGTERM)
            with suppress(httpx.HTTPError):  # the end may look like a cut to the client
                list(lines)
    assert api.exit_status() in (0, -signal.SIGTERM)
