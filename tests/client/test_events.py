"""`client.events`: the parser of event streams."""

import pytest

from client import UnexpectedAnswer
from client.events import EventParser, JobEvent

STREAM = (
    'id: 1\nevent: job.started\ndata: {"total_steps": 4}\n\n'
    ": heartbeat\n\n"
    'id: 2\r\nevent: job.progress\r\ndata: {"step": 1,\r\n'
    'data: "total_steps": 4, "fraction": 0.25}\r\n\r\n'
    'id:3\rdata:{"text": "ä\u2028b"}\r\r'
).encode()

EVENTS = [
    JobEvent("job.started", {"total_steps": 4}, "1"),
    JobEvent("job.progress", {"step": 1, "total_steps": 4, "fraction": 0.25}, "2"),
    JobEvent("message", {"text": "ä\u2028b"}, "3"),
]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_may_be_cut_anywhere(size: int):
    parser = EventParser()
    chunks = [STREAM[start : start + size] for start in range(0, len(STREAM), size)] + [b"\n"]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS


def test_half_an_event_does_not_move_the_place_to_go_on_from():
    parser = EventParser("7")
    assert list(parser.feed(b"id: 8\nevent: job.progress\ndata: {}\n")) == []
    assert parser.last_event_id == "7"
    assert [event.id for event in parser.feed(b"\n")] == ["8"]
    assert parser.last_event_id == "8"


def test_progress_is_typed():
    assert EVENTS[1].progress.step == 1
    assert EVENTS[0].progress is None
    assert EVENTS[0].job is None


@pytest.mark.parametrize(
    "data", [b"data: {\n\n", b"event: job.progress\ndata: {}\n\n", b"event: job.failed\ndata: {}\n\n"]
)
def test_what_is_no_event_of_ours(data: bytes):
    with pytest.raises(UnexpectedAnswer):
        for event in EventParser().feed(data):
            assert (event.progress, event.job) is None
