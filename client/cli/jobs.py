"""`rediffuse jobs`."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from api_schemas.jobs import Job, JobStatus
from api_schemas.requests import Task
from client._connection import DEFAULT_URL
from client.cli import options
from client.cli.console import connected, failures_told, out, out_json
from client.cli.single import check_may_write, estimated_noise, summary, tell_warnings, wait_visibly

app = typer.Typer(no_args_is_help=True, help="Look at jobs, cancel them, run them again, fetch their results.")

JobId = Annotated[str, typer.Argument(metavar="JOB", help="Id of the job.")]


@app.command("list")
def list_jobs(
    status: Annotated[JobStatus | None, typer.Option(help="Only jobs in this state.")] = None,
    task: Annotated[Task | None, typer.Option(help="Only jobs of this task.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="The newest so many.")] = 20,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """The newest jobs."""
    filters: dict[str, Any] = {"status": status, "task": task, "limit": min(limit, 100)}
    with failures_told(as_json), connected(url, api_key) as client:
        found = list(islice(client.jobs(**filters), limit))
    if as_json:
        out_json([job.model_dump(mode="json") for job in found])
    else:
        for job in found:
            out(line_of(job))


@app.command()
def show(
    job: JobId, as_json: options.AsJson = False, url: options.Url = DEFAULT_URL, api_key: options.ApiKey = None
) -> None:
    """One job: state, progress, request, error."""
    with failures_told(as_json), connected(url, api_key) as client:
        tell(client.job(job), as_json)


@app.command()
def cancel(
    job: JobId, as_json: options.AsJson = False, url: options.Url = DEFAULT_URL, api_key: options.ApiKey = None
) -> None:
    """End a job; a running one stops at its next step."""
    with failures_told(as_json), connected(url, api_key) as client:
        tell(client.cancel(job), as_json)


@app.command()
def retry(
    job: JobId,
    seed: options.Seed = None,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Run an ended job again, as a new job."""
    with failures_told(as_json), connected(url, api_key) as client:
        tell(client.retry(job, seed=seed), as_json)


@app.command()
def wait(
    job: JobId,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to save the result to.")] = None,
    timeout: Annotated[float | None, typer.Option(help="Seconds to wait at most.")] = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Wait for the end of a job, and save its result."""
    with failures_told(as_json):
        if output is not None:
            check_may_write(output, force)
        with connected(url, api_key) as client:
            ended = wait_visibly(client, client.job(job), timeout)
            if output is not None:
                client.save(ended, output)
                tell_warnings(ended)
        if as_json or output is None:
            tell(ended, as_json)
        else:
            out(summary(ended, output))


def tell(job: Job, as_json: bool) -> None:
    """A job as JSON, or as the lines that a person looks for first."""
    if as_json:
        out_json(job.model_dump(mode="json"))
        return
    lines = {
        "job": job.id,
        "task": job.task,
        "status": job.status,
        "created": job.created_at,
        "prior": job.request.get("prior"),
        "preset": job.request.get("preset"),
        "seed": job.request.get("seed"),
    }
    if job.queue is not None:
        lines["in queue"] = f"{job.queue.ahead} jobs ahead"
    if job.progress is not None:
        lines["progress"] = f"step {job.progress.step} of {job.progress.total_steps}"
    if job.timings is not None and job.timings.run_s is not None:
        lines["ran"] = f"{job.timings.run_s:.1f} s"
    noise = estimated_noise(job)
    if noise is not None:
        lines["noise"] = f"{noise} (estimated)"
    if job.result is not None:
        lines["result"] = job.links.result
    if job.retry_of is not None:
        lines["retry of"] = job.retry_of
    if job.error is not None:
        lines["error"] = f"{job.error.title}: {job.error.detail}"
    for name, value in lines.items():
        out(f"{name:<9} {value}")


def line_of(job: Job) -> str:
    """One line of the list, whole also in a pipe."""
    state: str = job.status
    if job.status == "running" and job.progress is not None:
        state = f"running {job.progress.fraction:.0%}"
    if job.error is not None:
        state = f"{job.status}: {job.error.code}"
    return f"{job.id}  {job.created_at[:19]}  {job.task:<16}  {state}"
