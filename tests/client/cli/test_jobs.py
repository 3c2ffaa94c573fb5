"""`rediffuse jobs` and `rediffuse priors`."""

import json
from pathlib import Path

import pytest

from client import Job, Rediffuse
from tests.client.fake_service import FakeService


@pytest.fixture
def job(rediffuse: Rediffuse) -> Job:
    return rediffuse.denoise(b"photo")


def test_the_list_is_newest_first_and_as_long_as_wanted(run, rediffuse: Rediffuse):
    made = [rediffuse.denoise(b"%d" % number).id for number in range(4)]
    assert [each["id"] for each in json.loads(run("jobs", "list", "--json", "--limit", 3).stdout)] == made[:0:-1]
    lines = run("jobs", "list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == made[::-1]
    assert all(line.endswith("succeeded") for line in lines)
    assert json.loads(run("jobs", "list", "--status", "failed", "--json").stdout) == []


def test_show(run, rediffuse: Rediffuse, job: Job):
    assert "succeeded" in run("jobs", "show", job.id).stdout
    failed = rediffuse.denoise(b"diverge")
    assert "step 3" in run("jobs", "show", failed.id).stdout
    assert json.loads(run("jobs", "show", job.id, "--json").stdout)["id"] == job.id


def test_cancel_and_retry(run, service: FakeService, job: Job):
    assert "canceled" in run("jobs", "cancel", job.id).stdout
    assert f"retry of  {job.id}" in run("jobs", "retry", job.id).stdout
    assert len(service.jobs) == 2


def test_wait_saves_the_result(run, job: Job, tmp_path: Path):
    assert run("jobs", "wait", job.id, "-o", tmp_path / "out.png").exit_code == 0
    assert (tmp_path / "out.png").read_bytes() == b"restored photo"
    assert run("jobs", "wait", job.id, "-o", tmp_path / "out.png").exit_code == 1


def test_wait_ends_on_time(run, service: FakeService, job: Job):
    service.gate.clear()
    result = run("jobs", "wait", job.id, "--timeout", 0.1)
    assert result.exit_code == 1
    assert "it goes on" in result.stderr


def test_an_unknown_job(run):
    result = run("jobs", "show", "job-99")
    assert result.exit_code == 1
    assert "There is no such job" in result.stderr


def test_priors(run):
    table = run("priors").stdout
    assert "natural-v1 (default)" in table and "denoiser-v4 (score_dvi)" in table and "ready" in table
    assert json.loads(run("priors", "--json").stdout)[0]["licence"] == "CC0-1.0"
