"""Accept, Prefer, Cancel-After."""

import pytest

from service.negotiation import cancel_after, negotiate, prefer_wait

OFFERS = ["image/png", "image/webp", "application/json"]


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, "image/png"),
        ("*/*", "image/png"),
        ("application/*", "application/json"),
        ("image/webp, */*;q=0.1", "image/webp"),
        ("image/*;q=0.2, application/json;q=0.9", "application/json"),
        ("image/png;q=0, image/*", "image/webp"),
        ("IMAGE/WEBP", "image/webp"),
        ("image/webp;level=1;q=0.3", "image/webp"),
        ("image/png;q=nonsense, image/webp;q=0.1", "image/webp"),
        ("text/html", None),
        ("", "image/png"),
    ],
)
def test_the_best_offer(accept: str | None, chosen: str | None) -> None:
    assert negotiate(accept, OFFERS) == chosen


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, None),
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ("wait=10;x, return=minimal", 10),
        ("Wait = 7", 7),
        ("wait=61", 60),
        ("wait=0", 0),
        ("await=3", None),
        ("wait=-3", None),
        ("wait", None),
    ],
)
def test_the_preferred_wait(prefer: str | None, seconds: int | None) -> None:
    assert prefer_wait(prefer) == seconds


def test_durations() -> None:
    assert [cancel_after(text) for text in (None, "30", "30s", "1.5m", "2h")] == [None, 30, 30, 90, 7200]
