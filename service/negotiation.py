"""Which form of an answer a client wants: `Accept`, `Prefer` and `Cancel-After`."""

import re
from collections.abc import Sequence

from service.problems import wrong_field

MAX_WAIT_S = 60
PREFER_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|[,;])", re.IGNORECASE)
CANCEL_AFTER = re.compile(r"(\d{1,9}(?:\.\d{1,6})?)(s|m|h)?")
UNIT_S = {"s": 1, "m": 60, "h": 3600}
MAX_DEADLINE_S = 604800


def negotiate(accept: str | None, offers: Sequence[str]) -> str | None:
    """The offer that `Accept` likes best, the first of equals; None where it takes none (RFC 9110, 12.5.1)."""
    ranges = parse_accept(accept or "*/*")
    best = max(offers, key=lambda offer: quality(ranges, offer))
    return best if quality(ranges, best) > 0 else None


def parse_accept(accept: str) -> dict[str, float]:
    ranges: dict[str, float] = {}
    for part in accept.split(","):
        name, *parameters = [each.strip() for each in part.lower().split(";")]
        weights = [each[2:] for each in parameters if each.startswith("q=")]
        try:
            ranges[name] = float(weights[0]) if weights else 1.0
        except ValueError:
            ranges[name] = 0.0
    return ranges


def quality(ranges: dict[str, float], offer: str) -> float:
    """Weight of the most specific range that covers the offer."""
    for name in (offer, offer.partition("/")[0] + "/*", "*/*"):
        if name in ranges:
            return ranges[name]
    return 0.0


def prefer_wait(prefer: str | None) -> int | None:
    """Seconds of `Prefer: wait=n`, at most 60; None without it. Other preferences are ignored, as RFC 7240 says."""
    found = PREFER_WAIT.search(prefer or "")
    return min(int(found[1]), MAX_WAIT_S) if found else None


def cancel_after(header: str | None) -> float | None:
    """Seconds of `Cancel-After: 30s`, `5m` or `1h`."""
    if header is None:
        return None
    found = CANCEL_AFTER.fullmatch(header.strip())
    seconds = float(found[1]) * UNIT_S[found[2] or "s"] if found else 0.0
    if not 0 < seconds <= MAX_DEADLINE_S:
        raise wrong_field("/header/cancel-after", "duration", "must look like 30s, 5m or 1h, at most a week")
    return seconds
