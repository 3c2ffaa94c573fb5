"""When to send a request again, and how long to wait before."""

import email.utils
import random
import time
from dataclasses import dataclass

import httpx

from client.errors import ConnectionFailed

RETRIED_STATUSES = frozenset({429, 502, 503, 504})
LONGEST_RETRY_AFTER_S = 120.0


@dataclass(frozen=True)
class RetryPolicy:
    """Exponential back-off with jitter; `Retry-After` of the service comes first."""

    retries: int = 6
    """Attempts after the first."""
    base_s: float = 0.5
    """Pause before the first retry; each later one is twice as long."""
    cap_s: float = 20.0

    def pause_s(self, failures: int, retry_after_s: float | None = None) -> float:
        """Seconds to wait after the `failures`-th failure in a row; jitter keeps clients from returning together."""
        if retry_after_s is not None:
            return min(retry_after_s, LONGEST_RETRY_AFTER_S) + random.uniform(0, self.base_s)
        return min(self.cap_s, self.base_s * 2 ** (failures - 1)) * random.uniform(0.5, 1)


class Attempts:
    """Counts the failures of one request in a row."""

    def __init__(self, policy: RetryPolicy, base_url: str, until: float | None = None):
        self.policy = policy
        self.base_url = base_url
        self.until = until
        """Moment of `time.monotonic` after which there is no further attempt."""
        self.failures = 0

    def after_error(self, error: httpx.TransportError) -> float:
        """Seconds to wait before the next attempt. Raises `ConnectionFailed` where there is to be none."""
        self.failures += 1
        pause_s = self._pause_s(None)
        if pause_s is None or isinstance(error, httpx.UnsupportedProtocol | httpx.LocalProtocolError):
            raise ConnectionFailed(self.base_url, str(error) or type(error).__name__) from error
        return pause_s

    def after_answer(self, response: httpx.Response) -> float | None:
        """Seconds to wait before the next attempt; None where the answer is to be taken. The body must be read."""
        if not is_temporary(response):
            return None
        self.failures += 1
        return self._pause_s(retry_after_s(response))

    def succeeded(self) -> None:
        """Something arrived: later failures count anew."""
        self.failures = 0

    def _pause_s(self, asked_s: float | None) -> float | None:
        if self.failures > self.policy.retries:
            return None
        pause_s = self.policy.pause_s(self.failures, asked_s)
        return pause_s if self.until is None or time.monotonic() + pause_s < self.until else None


def is_temporary(response: httpx.Response) -> bool:
    """Whether the same request may be answered otherwise a little later."""
    if response.status_code in RETRIED_STATUSES:
        return True
    # Our first attempt lost its connection and is still being handled; soon this key returns its answer.
    return response.status_code == 409 and b'"idempotency_in_progress"' in response.content


def retry_after_s(response: httpx.Response) -> float | None:
    """The header `Retry-After`, in seconds or as a date; None where it is absent or unreadable."""
    text = response.headers.get("retry-after", "")
    if text.isdecimal():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
