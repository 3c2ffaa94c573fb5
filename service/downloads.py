"""Bytes on their way out: entity tags, digests and ranges."""

import base64
import hashlib
import re
from collections.abc import Mapping

from fastapi import Request
from fastapi.responses import Response

from service.problems import Refused

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def etag_matches(request: Request, etag: str) -> bool:
    """Whether the client has this version already (`If-None-Match`)."""
    sent = request.headers.get("if-none-match", "")
    return sent.strip() == "*" or etag in [each.strip().removeprefix("W/") for each in sent.split(",")]


def not_modified(etag: str) -> Response:
    return Response(status_code=304, headers={"ETag": etag})


def send_bytes(request: Request, data: bytes, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """The bytes, or the part that `Range` asks for. Several ranges are answered with the whole (RFC 9110, 14.2)."""
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    if etag_matches(request, etag):
        return not_modified(etag)
    common = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=0",
        "X-Content-Type-Options": "nosniff",  # these bytes came from somebody
        **(headers or {}),
    }
    asked = RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None or not any(asked.groups()) or request.headers.get("if-range", etag) != etag:
        return Response(data, 200, common | content_digest(data), media_type)
    first, last = span(asked[1], asked[2], len(data))
    part = data[first : last + 1]
    place = {"Content-Range": f"bytes {first}-{last}/{len(data)}"}
    return Response(part, 206, common | content_digest(part) | place, media_type)


def content_digest(data: bytes) -> dict[str, str]:
    """RFC 9530."""
    return {"Content-Digest": f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"}


def span(first: str, last: str, size: int) -> tuple[int, int]:
    """First and last byte of a range; without a first, the last so many bytes. Raises `range_not_satisfiable`."""
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end or start >= size:
        detail = f"the file has {size} bytes"
        raise Refused("range_not_satisfiable", detail, headers={"Content-Range": f"bytes */{size}"})
    return start, end
