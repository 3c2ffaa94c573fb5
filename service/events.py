"""What happens to jobs, told to whoever waits: event streams and long polls.

One poller in the process asks the queue for all of them, with two queries a round, and only while someone waits. The
stored log is the source, so a client that comes back with the last number it saw misses nothing.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import structlog
from starlette.concurrency import run_in_threadpool

from service.queue.base import JobQueue, JobRecord, StoredEvent


@dataclass(eq=False)
class Subscription:
    """One waiting client. Set by the poller, read by the client; a client that has not read its news gets no more."""

    job_id: str
    cursor: int | None
    """Number of the last event that it has; None for one that waits for the end only."""
    news: list[StoredEvent] = field(default_factory=list)
    end: JobRecord | None = None
    is_gone: bool = False
    """The job was deleted."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, events: list[StoredEvent], record: JobRecord | None) -> None:
        if self.cursor is not None:
            self.news = [event for event in events if event.seq > self.cursor]
            self.cursor = max([self.cursor, *(event.seq for event in self.news)])
        self.end = record if record is not None and record.is_terminal else None
        self.is_gone = record is None
        if self.news or self.end or self.is_gone:
            self.ready.set()


class JobWatcher:
    """The one poller of a process. Used on the event loop only."""

    def __init__(self, queue: JobQueue, interval_s: float = 0.1):
        self.queue = queue
        self.interval_s = interval_s
        self._subscriptions: set[Subscription] = set()
        self._poller: asyncio.Task[None] | None = None

    async def follow(self, job_id: str, after: int) -> AsyncIterator[StoredEvent | JobRecord]:
        """Events numbered above `after`, then the record of the job that has ended. Nothing more for a deleted job."""
        with self._subscribed(Subscription(job_id, after)) as subscription:
            while True:
                await subscription.ready.wait()
                news, end, is_gone = subscription.news, subscription.end, subscription.is_gone
                subscription.news = []
                subscription.ready.clear()
                for event in news:
                    yield event
                if end is not None:
                    yield end
                if end is not None or is_gone:
                    return

    async def wait_for_end(self, job_id: str, seconds: float) -> None:
        """Returns when the job has ended, or after `seconds`."""
        with self._subscribed(Subscription(job_id, None)) as subscription, suppress(TimeoutError):
            await asyncio.wait_for(subscription.ready.wait(), seconds)

    async def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            with suppress(asyncio.CancelledError):
                await self._poller

    @contextmanager
    def _subscribed(self, subscription: Subscription) -> Iterator[Subscription]:
        self._subscriptions.add(subscription)
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)

    async def _poll(self) -> None:
        while self._subscriptions:
            waiting = [each for each in self._subscriptions if not each.ready.is_set()]
            try:
                records, events = await run_in_threadpool(self._read, waiting)
            # A queue that cannot be asked for a moment, for whatever reason of its driver, must not end every stream.
            except Exception as error:  # noqa: BLE001
                structlog.get_logger().warning("queue cannot be read", reason=str(error))
            else:
                for each in waiting:
                    each.deliver(events.get(each.job_id, []), records.get(each.job_id))
            await asyncio.sleep(self.interval_s)

    def _read(self, waiting: list[Subscription]) -> tuple[dict[str, JobRecord], dict[str, list[StoredEvent]]]:
        """Records first: every event of a job that has ended was stored before its end."""
        if not waiting:
            return {}, {}
        records = {record.id: record for record in self.queue.get_many(sorted({each.job_id for each in waiting}))}
        cursors: dict[str, int] = {}
        for each in waiting:
            if each.cursor is not None:
                cursors[each.job_id] = min(each.cursor, cursors.get(each.job_id, each.cursor))
        events: dict[str, list[StoredEvent]] = {}
        for event in self.queue.events_after(cursors) if cursors else []:
            events.setdefault(event.job_id, []).append(event)
        return records, events
