"""`client.async_client`: the same methods, and the same behaviour where the two have code of their own."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from client import AsyncRediffuse, JobFailedError, Rediffuse, RetryPolicy, WaitTimeout
from tests.client.fake_service import FakeService


def public(cls: type) -> dict[str, Callable]:
    return {name: method for name, method in inspect.getmembers(cls, callable) if not name.startswith("_")}


def test_both_clients_have_the_same_methods():
    assert public(Rediffuse).keys() == public(AsyncRediffuse).keys()


@pytest.mark.parametrize("name", sorted(public(Rediffuse)))
def test_both_clients_take_the_same_arguments_and_say_the_same(name: str):
    one, other = public(Rediffuse)[name], public(AsyncRediffuse)[name]
    assert inspect.signature(one).parameters == inspect.signature(other).parameters
    assert one.__doc__ == other.__doc__
    answers = [str(inspect.signature(method).return_annotation).replace("AsyncIter", "Iter") for method in (one, other)]
    assert answers[0] == answers[1]


def run(service: FakeService, body: Callable[[AsyncRediffuse], Awaitable[None]]) -> None:
    async def main() -> None:
        async with AsyncRediffuse(service.url, retry=RetryPolicy(base_s=0.001)) as client:
            await body(client)

    asyncio.run(main())


def test_one_call_in_one_picture_out(service: FakeService, tmp_path: Path):
    async def body(client: AsyncRediffuse) -> None:
        saved = await client.save(await client.inpaint(b"photo", b"mask"), tmp_path / "out.png")
        assert saved.read_bytes() == b"restored photo"

    run(service, body)


@pytest.mark.parametrize("fault", ["drop", "drop_after", "busy", "in_progress"])
def test_a_create_that_meets_trouble_runs_once(service: FakeService, fault: str):
    service.faults.extend([fault, fault])

    async def body(client: AsyncRediffuse) -> None:
        await client.denoise(b"x")

    run(service, body)
    assert len(service.jobs) == 1
    assert service.count("POST", "/v1/denoise") == 3


def test_events_go_on_where_the_connection_broke(service: FakeService):
    service.stream_cuts = 2

    async def body(client: AsyncRediffuse) -> None:
        events = [event async for event in client.events(await client.denoise(b"x"))]
        assert [event.id for event in events] == ["1", "2", "3", "4", "5", "6", "7"]

    run(service, body)


@pytest.mark.parametrize("streams_work", [True, False])
def test_many_jobs_are_waited_for_at_a_time(service: FakeService, streams_work: bool):
    service.streams_work = streams_work
    service.gate.clear()

    async def body(client: AsyncRediffuse) -> None:
        jobs = [await client.denoise(b"%d" % n) for n in range(5)]
        waiting = [asyncio.create_task(client.wait(job)) for job in jobs]
        service.gate.set()
        assert [job.id for job in await asyncio.gather(*waiting)] == [job.id for job in jobs]

    run(service, body)


def test_wait_ends_on_time_or_with_the_failure(service: FakeService):
    async def body(client: AsyncRediffuse) -> None:
        job = await client.denoise(b"diverge")
        service.gate.clear()
        with pytest.raises(WaitTimeout):
            await client.wait(job.id, timeout_s=0.2)
        service.gate.set()
        with pytest.raises(JobFailedError):
            await client.wait(job.id)

    run(service, body)


def test_a_batch_and_its_list(service: FakeService):
    async def body(client: AsyncRediffuse) -> None:
        batch = await client.batch("denoise", [b"a", b"b"])
        assert [job.id async for job in client.jobs()] == [item.job_id for item in batch.items][::-1]

    run(service, body)
