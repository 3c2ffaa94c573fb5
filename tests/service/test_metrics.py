"""Figures of the API, the queue and the workers in one place."""

import asyncio
from contextlib import nullcontext
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from service import database
from service.metrics import EngineMetrics, MetricsWriter, as_json, counted, merge, retire
from service.queue.base import Claim, JobFailed, Json
from tests.service.api import Api


def figures(api: Api) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = api.http.get("/metrics").text
    return {
        (sample.name.removeprefix("rediffuse_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def worked(*sizes: int, device: str = "cpu") -> EngineMetrics:
    metrics = EngineMetrics(device)
    metrics.prior_loaded("tiny", 0.5)
    for size in sizes:
        metrics.batch("tiny", size, 0.02)
        metrics.step("job", "tiny")
    return metrics


def test_workers_of_other_processes_are_added_up(idle: Api) -> None:
    engine = idle.context.retention.engine
    MetricsWriter(engine, "one", worked(1, 8, 8)).write()
    MetricsWriter(engine, "two", worked(4)).write()
    found = figures(idle)
    prior = ("prior", "tiny")
    assert found["engine_batch_size_count", (prior,)] == 4
    assert found["engine_batch_size_sum", (prior,)] == 21
    at_most = {
        size: found["engine_batch_size_bucket", (("le", size), prior)] for size in ("1.0", "3.0", "4.0", "8.0", "+Inf")
    }
    assert at_most == {"1.0": 1, "3.0": 1, "4.0": 2, "8.0": 4, "+Inf": 4}
    assert found["engine_denoiser_images_total", (prior,)] == 21
    assert found["engine_steps_total", (prior,)] == 4
    assert found["engine_step_seconds_count", (prior,)] == 4
    assert found["prior_load_seconds_sum", (prior,)] == 1.0
    assert found["prior_resident", (("device", "cpu"), prior)] == 2


def test_a_prior_that_was_evicted_is_not_resident(idle: Api) -> None:
    one, two = worked(), worked()
    one.prior_evicted("tiny")
    for name, metrics in (("one", one), ("two", two)):
        MetricsWriter(idle.context.retention.engine, name, metrics).write()
    assert figures(idle)["prior_resident", (("device", "cpu"), ("prior", "tiny"))] == 1


def test_a_writer_stores_anew_what_has_grown(idle: Api) -> None:
    metrics = worked(2)
    writer = MetricsWriter(idle.context.retention.engine, "one", metrics, interval_s=0.01)
    writer.start()
    metrics.batch("tiny", 6, 0.1)
    metrics.out_of_memory("cpu")
    writer.stop()
    found = figures(idle)
    assert found["engine_batch_size_sum", (("prior", "tiny"),)] == 8
    assert found["engine_oom_total", (("device", "cpu"),)] == 1


def test_dead_workers_are_folded_and_their_counts_stay(idle: Api) -> None:
    engine = idle.context.retention.engine
    for index in range(3):
        MetricsWriter(engine, str(index), worked(index + 1)).write()
        retire(engine, database.now() + 1)
    retire(engine, database.now() + 1)
    with engine.connect() as connection:
        ids = list(connection.execute(database.worker_metrics.select()).scalars())
    assert ids == ["retired"]
    found = figures(idle)
    assert found["engine_batch_size_sum", (("prior", "tiny"),)] == 6
    assert ("prior_resident", (("device", "cpu"), ("prior", "tiny"))) not in found  # it holds nothing any more


def test_sums_of_nothing_and_of_one() -> None:
    assert merge([]) == []
    families = worked(3).families()
    assert [as_json(metric) for metric in merge([families])] == families


def test_the_queue_and_the_answers_are_counted(idle: Api) -> None:
    idle.submit(priority="high")
    idle.http.get("/v1/jobs/none")
    idle.http.get("/v1/jobs/other")
    found = figures(idle)
    assert found["jobs_queued", (("priority", "high"),)] == 1
    assert found["jobs_running", ()] == found["workers", ()] == 0
    assert found["queue_oldest_age_seconds", ()] >= 0
    assert found["jobs_submitted_total", (("task", "denoise"),)] == 1
    assert found["http_requests_total", (("code", "404"), ("route", "/v1/jobs/{job_id}"))] == 2  # by route, not address


def test_bytes_of_artifacts_are_counted(idle: Api, tmp_path: Path) -> None:
    job = idle.submit()
    sent = idle.http.get(f"/v1/jobs/{job['id']}/artifacts/input").content
    assert figures(idle)["artifact_bytes_total", ()] == len(sent)


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        (None, "succeeded", ""),
        (JobFailed({"code": "solver_diverged"}), "failed", "solver_diverged"),
        (ZeroDivisionError(), "failed", "internal"),
        (asyncio.CancelledError(), "interrupted", ""),
    ],
)
def test_ends_of_jobs_are_counted(end: BaseException | None, status: str, code: str) -> None:
    async def body(claim: Claim) -> Json:
        if end is not None:
            raise end
        return {"answer": claim.id}

    claim = Claim(
        id="j", owner="o", task="denoise", request={"solver": "red_diff"}, attempt=1, deadline_at=None, losses=0
    )
    metrics = EngineMetrics()
    with pytest.raises(type(end)) if end else nullcontext():
        assert asyncio.run(counted(body, metrics)(claim)) == {"answer": "j"}
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
    }
    assert samples["rediffuse_jobs_finished_total", "denoise", status, code] == 1
    assert samples["rediffuse_job_run_seconds_count", "denoise", "red_diff"] == 1


def test_tiles_that_were_differentiated_are_counted_apart(idle: Api) -> None:
    metrics = worked(3)
    metrics.batch("tiny", 5, 0.1, "vjp")
    MetricsWriter(idle.context.retention.engine, "one", metrics).write()
    found, prior = figures(idle), ("prior", "tiny")
    assert found["engine_denoiser_images_total", (prior,)] == 8
    assert found["engine_differentiated_images_total", (prior,)] == 5
