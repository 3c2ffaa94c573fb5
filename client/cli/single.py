"""One picture in, one picture out, with a progress bar."""

from collections.abc import Callable
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from api_schemas.jobs import Job
from api_schemas.jobs import Progress as JobProgress
from client.cli.console import connected, error_console, failures_told, out, out_json
from client.folders import OrderRefused
from client.folders.run import is_clean
from client.sync_client import Rediffuse


def restore(
    create: Callable[[Rediffuse], Job],
    image: Path,
    target: Path,
    *,
    url: str,
    api_key: str | None,
    force: bool,
    as_json: bool,
) -> None:
    """Create a job for `image`, show it run, and save its result to `target`."""
    with failures_told(as_json):
        if image.is_dir():
            raise OrderRefused(f"{image} is a folder; `rediffuse batch` restores folders")
        check_may_write(target, force)
        with connected(url, api_key) as client:
            job = wait_visibly(client, create(client))
            client.save(job, target)
        tell_warnings(job)
        if as_json:
            out_json(job.model_dump(mode="json"))
        else:
            out(summary(job, target))


def beside(image: Path, what: str, suffix: str = ".png") -> Path:
    """Where a result goes that nobody gave a name: `photo.jpg` becomes `photo-denoised.png`."""
    named = image.resolve() if image.name in ("", "..") else image
    return named.with_name(f"{named.stem if suffix else named.name}-{what}{suffix}")


def check_may_write(target: Path, force: bool) -> None:
    """Raises `OrderRefused` where a file would be lost."""
    if target.is_dir():
        raise OrderRefused(f"{target} is a folder; name a file")
    if target.exists() and not force:
        raise OrderRefused(f"{target} exists; --force writes over it")


def wait_visibly(client: Rediffuse, job: Job, timeout_s: float | None = None) -> Job:
    """The job once it succeeded. Ctrl-C ends the waiting only, and says how to go on."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeRemainingColumn(),
    )
    console = error_console()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        line = bar.add_task(f"{job.task} {job.status}", total=1.0)

        def show(progress: JobProgress) -> None:
            text = f"{job.task} {progress.step}/{progress.total_steps}"
            bar.update(line, completed=progress.fraction, description=text)

        try:
            return client.wait(job, timeout_s, on_progress=show)
        except KeyboardInterrupt:
            console.print(
                f"The job goes on: `rediffuse jobs wait {job.id} -o FILE` waits for it, "
                f"`rediffuse jobs cancel {job.id}` ends it.",
                soft_wrap=True,  # a command that is to be copied has no line breaks
            )
            raise


def tell_warnings(job: Job) -> None:
    """What the service could not keep of the picture."""
    for warning in job.result.warnings if job.result else []:
        error_console().print(f"Note: {warning.detail}", highlight=False, markup=False, soft_wrap=True)


def summary(job: Job, target: Path) -> str:
    """One line: what was made, and with what it is made again."""
    run_s = job.timings.run_s if job.timings else None
    seconds = "" if run_s is None else f", {run_s:.1f} s"
    request = job.request
    level = estimated_noise(job)
    noise = "" if level is None else f", noise {level} estimated"
    if is_clean(job):
        noise = ", no noise found"
    return f"{target}  (job {job.id}, seed {request.get('seed')}, prior {request.get('prior')}{noise}{seconds})"


def estimated_noise(job: Job) -> str | None:
    """The level that the service found, in the form that `--sigma` takes."""
    sigma = job.result.metrics.get("noise_sigma_estimated") if job.result else None
    return None if sigma is None else f"{255 * sigma:.1f}/255"
