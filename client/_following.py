"""The state of following one job, shared by the two clients: where its stream is, and how long to wait for its end."""

import time
from collections.abc import Callable, Iterator

import httpx

from api_schemas.jobs import Job, Progress
from client import _requests
from client._answers import check
from client._retry import Attempts
from client.errors import ConnectionFailed, JobFailedError, UnavailableError, UnexpectedAnswer, WaitTimeout
from client.events import EventParser, JobEvent

SILENCE_S = 45.0
"""A stream that says nothing for this long is dead: the service sends a heartbeat each 15 s."""
LONG_POLL_S = 20.0
PROGRESS_POLL_S = 1.0
SHORTEST_POLL_S = 0.25

STREAM_UNUSABLE = (ConnectionFailed, UnavailableError, UnexpectedAnswer)
"""A proxy that holds streams back, or a service that restarts: polls may still come through."""

OnProgress = Callable[[Progress], None]


class Follower:
    """Follows the event stream of a job over as many connections as it takes."""

    def __init__(self, job_id: str, after: str | None, attempts: Attempts):
        self.job_id = job_id
        self.attempts = attempts
        self.has_ended = False
        self.parser = EventParser(after)

    @property
    def is_over(self) -> bool:
        """The job has ended, or the time to follow it."""
        until = self.attempts.until
        return self.has_ended or (until is not None and time.monotonic() >= until)

    @property
    def silence_s(self) -> float:
        """How long to wait for the next bytes."""
        until = self.attempts.until
        return SILENCE_S if until is None else max(0.01, min(SILENCE_S, until - time.monotonic()))

    def request(self) -> _requests.Request[_requests.Empty]:
        return _requests.events(self.job_id, self.parser.last_event_id)

    def opened(self, response: httpx.Response) -> float | None:
        """Look at a new connection: seconds to wait before the next one, or None where this one is to be read."""
        if response.status_code != 200:
            pause_s = self.attempts.after_answer(response)
            if pause_s is None:
                check(response)
            return pause_s
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise UnexpectedAnswer(f"{response.url} is no event stream")
        self.parser = EventParser(self.parser.last_event_id)
        return None

    def feed(self, chunk: bytes) -> Iterator[JobEvent]:
        """The events that `chunk` completes, up to the one that ends the job."""
        self.attempts.succeeded()
        for event in self.parser.feed(chunk):
            self.has_ended = event.is_terminal
            yield event
            if self.has_ended:
                return

    def dropped(self) -> float:
        """The stream ended before the job: seconds to wait before the next connection."""
        return self.attempts.after_error(httpx.RemoteProtocolError("the event stream ended before the job"))


class Watch:
    """Waits for the end of a job, at most `timeout_s` seconds."""

    def __init__(self, job: Job | str, timeout_s: float | None, on_progress: OnProgress | None):
        self.job_id = job if isinstance(job, str) else job.id
        self.timeout_s = timeout_s
        self.on_progress = on_progress
        self.deadline = None if timeout_s is None else time.monotonic() + timeout_s
        self.polled_at = 0.0

    @property
    def follow_until(self) -> float | None:
        """Streams are silent up to a heartbeat; polls end on time. So the last stretch is polled."""
        return None if self.deadline is None else self.deadline - LONG_POLL_S

    def poll_s(self) -> float:
        """How long the next poll may wait. Raises `WaitTimeout` when the time is over."""
        self.polled_at = time.monotonic()
        longest_s = LONG_POLL_S if self.on_progress is None else PROGRESS_POLL_S
        if self.deadline is None:
            return longest_s
        remaining_s = self.deadline - self.polled_at
        if remaining_s <= 0:
            raise WaitTimeout(self.job_id, self.timeout_s or 0)
        return min(longest_s, remaining_s)

    def rest_s(self) -> float:
        """Pause after a poll that came back early, so that no service is asked without end."""
        return max(0.0, SHORTEST_POLL_S - (time.monotonic() - self.polled_at))

    def show(self, progress: Progress | None) -> None:
        if progress is not None and self.on_progress is not None:
            self.on_progress(progress)


def succeeded(job: Job) -> Job:
    """`job`, which has ended. Raises `JobFailedError` where it has no result."""
    if job.status != "succeeded":
        raise JobFailedError(job)
    return job
