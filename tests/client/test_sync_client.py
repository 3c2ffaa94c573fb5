"""`client.sync_client`, over a real socket that breaks in the ways sockets break."""

import hashlib
from pathlib import Path

import httpx
import pytest

from client import (
    AuthenticationError,
    ConnectionFailed,
    CorruptDownload,
    GoneError,
    InvalidRequestError,
    JobFailedError,
    NotFoundError,
    Rediffuse,
    RetryPolicy,
    UnavailableError,
    WaitTimeout,
)
from tests.client.fake_service import FakeService


def test_one_call_in_one_picture_out(rediffuse: Rediffuse, tmp_path: Path):
    saved = rediffuse.save(rediffuse.inpaint(b"photo", b"mask", seed=3), tmp_path / "out.png")
    assert saved.read_bytes() == b"restored photo"


def test_tasks_send_their_options(rediffuse: Rediffuse, service: FakeService):
    rediffuse.super_resolution(b"x", 4, kernel="box")
    rediffuse.denoise(b"x", noise={"sigma_255": 12})
    rediffuse.inpaint(b"x", mask_mode="alpha_unknown")
    sent = [(job.task, job.options) for job in service.jobs.values()]
    assert sent == [
        ("super_resolution", {"scale": "4", "kernel": "box"}),
        ("denoise", {"noise": '{"sigma_255": 12}'}),
        ("inpaint", {"mask_mode": "alpha_unknown"}),
    ]


@pytest.mark.parametrize("fault", ["drop", "drop_after", "busy", "limited", "in_progress", "html"])
def test_a_create_that_meets_trouble_runs_once(rediffuse: Rediffuse, service: FakeService, fault: str):
    service.faults.extend([fault, fault])
    job = rediffuse.denoise(b"x")
    assert list(service.jobs) == [job.id]
    attempts = service.headers_of("POST", "/v1/denoise")
    assert len(attempts) == 3
    assert len({headers["idempotency-key"] for headers in attempts}) == 1


def test_two_calls_are_two_jobs(rediffuse: Rediffuse, service: FakeService):
    assert rediffuse.denoise(b"x").id != rediffuse.denoise(b"x").id


def test_the_retries_end_with_the_reason(service: FakeService):
    service.faults.extend(["full"] * 3)
    with pytest.raises(UnavailableError, match="10000 jobs wait"):
        Rediffuse(service.url, retry=RetryPolicy(retries=2, base_s=0.001)).denoise(b"x")
    assert service.count("POST", "/v1/denoise") == 3


def test_nobody_there(quick: RetryPolicy):
    with FakeService() as gone:
        url = gone.url
    with pytest.raises(ConnectionFailed, match=url):
        Rediffuse(url, retry=quick).queue()


def test_no_address_at_all(quick: RetryPolicy):
    with pytest.raises(ConnectionFailed):
        Rediffuse("localhost:8000", retry=quick).queue()
    with pytest.raises(ConnectionFailed):
        Rediffuse("http://here:port", retry=quick)


def test_a_refusal_is_not_tried_again(rediffuse: Rediffuse, service: FakeService):
    with pytest.raises(InvalidRequestError) as caught:
        rediffuse.denoise(b"x", seed=-1)
    assert caught.value.problem.errors[0].pointer == "/seed"
    assert service.count("POST", "/v1/denoise") == 1


def test_the_key_is_sent(service: FakeService, quick: RetryPolicy):
    service.api_key = "secret"
    with pytest.raises(AuthenticationError):
        Rediffuse(service.url, retry=quick).queue()
    assert Rediffuse(service.url, "secret", retry=quick).queue().queued["normal"] == 2


def test_events_go_on_where_the_connection_broke(rediffuse: Rediffuse, service: FakeService):
    service.stream_cuts = 2
    job = rediffuse.denoise(b"x")
    events = list(rediffuse.events(job))
    assert [event.id for event in events] == ["1", "2", "3", "4", "5", "6", "7"]
    assert [headers.get("last-event-id") for headers in service.headers_of("GET", f"/v1/jobs/{job.id}/events")] == [
        None, "2", "4",
    ]  # fmt: skip
    assert events[-1].job.status == "succeeded"
    assert [event.progress.step for event in events if event.progress] == [1, 2, 3, 4]


def test_events_from_the_middle(rediffuse: Rediffuse):
    assert [event.id for event in rediffuse.events(rediffuse.denoise(b"x"), after="5")] == ["6", "7"]


def test_wait_tells_the_progress_of_this_job(rediffuse: Rediffuse, service: FakeService):
    service.gate.clear()
    job, seen = rediffuse.denoise(b"x"), []

    def note(progress) -> None:
        seen.append(progress.step)
        if progress.step == 4:
            service.gate.set()

    assert rediffuse.wait(job, on_progress=note).status == "succeeded"
    assert seen == [1, 2, 3, 4]
    assert service.count("GET", f"/v1/jobs/{job.id}/events") == 1
    assert service.count("GET", f"/v1/jobs/{job.id}?wait") == 0


def test_wait_polls_where_streams_do_not_come_through(rediffuse: Rediffuse, service: FakeService):
    service.streams_work = False
    service.gate.clear()
    job, seen = rediffuse.denoise(b"x"), []

    def note(progress) -> None:
        seen.append(progress.step)
        service.gate.set()

    assert rediffuse.wait(job.id, on_progress=note).status == "succeeded"
    assert seen == [2, 4]
    assert service.count("GET", f"/v1/jobs/{job.id}?wait=1") == 2


def test_wait_ends_on_time_and_the_job_goes_on(rediffuse: Rediffuse, service: FakeService):
    service.gate.clear()
    job = rediffuse.denoise(b"x")
    with pytest.raises(WaitTimeout, match=job.id):
        rediffuse.wait(job, timeout_s=0.4)
    assert rediffuse.job(job).status == "running"
    service.gate.set()
    assert rediffuse.wait(job, timeout_s=30).status == "succeeded"


def test_the_end_of_a_failed_job_is_an_exception(rediffuse: Rediffuse, tmp_path: Path):
    job = rediffuse.denoise(b"diverge")
    with pytest.raises(JobFailedError, match="step 3") as caught:
        rediffuse.save(job, tmp_path / "out.png")
    assert caught.value.job.error.code == "solver_diverged"
    assert not (tmp_path / "out.png").exists()


def test_a_canceled_job_is_not_waited_for_in_vain(rediffuse: Rediffuse, service: FakeService):
    service.gate.clear()
    job = rediffuse.denoise(b"x")
    assert rediffuse.cancel(job).cancel_requested
    with pytest.raises(JobFailedError, match="canceled"):
        rediffuse.wait(job)


def test_wrong_bytes_are_not_saved(rediffuse: Rediffuse, service: FakeService, tmp_path: Path):
    service.corrupt = True
    with pytest.raises(CorruptDownload):
        rediffuse.save(rediffuse.denoise(b"x"), tmp_path / "out.png")
    assert list(tmp_path.iterdir()) == []


def test_retry_makes_one_new_job(rediffuse: Rediffuse, service: FakeService):
    job = rediffuse.denoise(b"diverge")
    service.faults.append("drop")
    again = rediffuse.retry(job, seed=4)
    assert again.retry_of == job.id
    assert len(service.jobs) == 2


def test_jobs_are_listed_over_all_pages(rediffuse: Rediffuse):
    made = [rediffuse.denoise(b"%d" % n).id for n in range(5)]
    assert [job.id for job in rediffuse.jobs(limit=2)] == made[::-1]
    assert [job.id for job in rediffuse.jobs(status="failed")] == []


def test_deleted_and_unknown_jobs_differ(rediffuse: Rediffuse):
    job = rediffuse.denoise(b"x")
    rediffuse.delete(job)
    with pytest.raises(GoneError):
        rediffuse.job(job)
    with pytest.raises(NotFoundError):
        rediffuse.job("job-99")


def test_an_uploaded_picture_serves_several_jobs(rediffuse: Rediffuse, service: FakeService):
    info = rediffuse.upload(b"photo")
    assert info.sha256 == hashlib.sha256(b"photo").hexdigest()
    assert rediffuse.result_bytes(rediffuse.denoise(info)) == b"restored photo"
    assert rediffuse.result_bytes(rediffuse.super_resolution(info)) == b"restored photo"
    assert service.count("POST", "/v1/files") == 1


def test_a_batch_names_its_items(rediffuse: Rediffuse, tmp_path: Path):
    paths = [tmp_path / "good.png", tmp_path / "bad.png"]
    for path, content in zip(paths, [b"photo", b"broken"], strict=True):
        path.write_bytes(content)
    batch = rediffuse.batch("denoise", paths, noise="auto")
    assert [item.client_ref for item in batch.items] == ["good.png", "bad.png"]
    assert rediffuse.result_bytes(batch.items[0].job_id) == b"restored photo"
    assert batch.items[1].problem.code == "unsupported_image"
    assert rediffuse.batch_status(batch).counts == {"succeeded": 2}
    rediffuse.cancel_batch(batch)
    assert rediffuse.job(batch.items[0].job_id).status == "canceled"


def test_the_catalogue(rediffuse: Rediffuse):
    assert [prior.id for prior in rediffuse.priors().data] == ["natural-v1", "denoiser-v4"]
    assert [solver.name for solver in rediffuse.solvers().data] == ["red_diff"]
    assert [operator.name for operator in rediffuse.operators().data] == ["mask"]
    assert rediffuse.info().limits.max_wait_s == 60
    rediffuse.check_alive()


def test_the_transport_can_be_replaced():
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"queued": {}, "running": 5, "workers": 1})

    assert Rediffuse(transport=httpx.MockTransport(answer)).queue().running == 5
