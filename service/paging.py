"""Pages of lists: the cursor names the last entry of the page before, so that new entries shift nothing."""

import base64
import binascii
import json
import math
import re

from api_schemas.jobs import JobList
from service.presentation import present
from service.problems import wrong_field
from service.queue.base import JobRecord

ID = r"^[A-Za-z0-9_-]{1,100}$"


def encode(record: JobRecord) -> str:
    return base64.urlsafe_b64encode(json.dumps([record.created_at, record.id]).encode()).decode()


def decode(cursor: str | None) -> tuple[float, str] | None:
    """Raises `validation_failed`."""
    if cursor is None:
        return None
    try:
        moment, job_id = json.loads(base64.b64decode(cursor.encode(), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        moment, job_id = None, None
    if (
        not isinstance(moment, float)
        or not isinstance(job_id, str)
        or not math.isfinite(moment)
        or not re.fullmatch(ID, job_id)
    ):
        raise wrong_field("/query/cursor", "cursor", "take it from `next_cursor` as it is")
    return moment, job_id


def page(found: list[JobRecord], limit: int, retention_s: float) -> JobList:
    """`found` holds one more than fits where there is a next page."""
    shown, has_more = found[:limit], len(found) > limit
    data = [present(record, retention_s=retention_s) for record in shown]
    return JobList(data=data, has_more=has_more, next_cursor=encode(shown[-1]) if has_more else None)
