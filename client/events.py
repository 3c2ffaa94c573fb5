"""What a job tells while it runs: server-sent events (the HTML standard, section 9.2)."""

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from api_schemas.jobs import TERMINAL, Job, Progress
from client.errors import UnexpectedAnswer

T = TypeVar("T", Job, Progress)
LINE_END = re.compile("\r\n|\n|\r")


@dataclass(frozen=True)
class JobEvent:
    """One event of a job: `job.queued`, `job.started`, `job.progress`, `job.preview`, `job.warning`, or its end."""

    type: str
    data: dict[str, Any]
    id: str | None = None
    """Give it to `events(..., after=id)` to go on from here."""

    @property
    def is_terminal(self) -> bool:
        return self.type.removeprefix("job.") in TERMINAL

    @property
    def job(self) -> Job | None:
        """The whole job, in the event that ends the stream."""
        return self._part(Job, self.data) if self.is_terminal else None

    @property
    def progress(self) -> Progress | None:
        return self._part(Progress, self.data) if self.type == "job.progress" else None

    def _part(self, model: type[T], data: Any) -> T:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise UnexpectedAnswer(f"an event of the kind {self.type!r} is not as Rediffuse writes it") from error


class EventParser:
    """Turns the bytes of a stream, cut anywhere, into events."""

    def __init__(self, last_event_id: str | None = None):
        self.last_event_id = last_event_id
        """Of the last whole event: where a new connection goes on."""
        self._id = last_event_id
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._rest = ""
        self._type = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[JobEvent]:
        """The events that `chunk` completes."""
        text = self._rest + self._decode(chunk)
        held = "\r" if text.endswith("\r") else ""  # perhaps the first half of CR LF
        *lines, rest = LINE_END.split(text.removesuffix("\r"))
        self._rest = rest + held
        for line in lines:
            event = self._line(line)
            if event is not None:
                yield event

    def _line(self, line: str) -> JobEvent | None:
        if line == "":
            return self._dispatch()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._type = value
        elif name == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> JobEvent | None:
        kind, data = self._type or "message", "\n".join(self._data)
        self._type, self._data = "", []
        self.last_event_id = self._id
        if not data:
            return None
        try:
            return JobEvent(kind, json.loads(data), self.last_event_id)
        except ValueError as error:
            raise UnexpectedAnswer(f"an event of the kind {kind!r} is not JSON") from error
