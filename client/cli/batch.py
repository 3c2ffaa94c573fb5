"""`rediffuse batch`: folder in, folder out."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from client._connection import DEFAULT_URL
from client.async_client import AsyncRediffuse
from client.cli import options
from client.cli.console import connected, error_console, failures_told, out, out_json
from client.folders import Entry, FolderOrder, FolderRun, Manifest

app = typer.Typer(no_args_is_help=True, help="Restore every picture of a folder; resumes where it was interrupted.")

Source = Annotated[Path, typer.Argument(metavar="IN_FOLDER", help="Pictures, in sub-folders too.")]
Target = Annotated[Path, typer.Argument(metavar="OUT_FOLDER", help="Results, in the same places, and manifest.json.")]
InFlight = Annotated[int, typer.Option("--jobs-in-flight", min=1, max=64, help="Jobs on the service at a time.")]


@app.command()
def denoise(
    source: Source,
    target: Target,
    sigma: options.Sigma = "auto",
    output_format: options.OutputFormat = "png",
    in_flight: InFlight = 8,
    seed: options.Seed = None,
    prior: options.Prior = None,
    solver: options.Denoiser = None,
    preset: options.PresetName = None,
    steps: options.Steps = None,
    param: options.Param = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Remove noise."""
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format=output_format,
        solver=solver,
    )
    order = FolderOrder("denoise", source, target, fields, in_flight=in_flight, force=force)
    restore_folder(order, url=url, api_key=api_key, as_json=as_json)


@app.command()
def upscale(
    source: Source,
    target: Target,
    scale: options.Scale = 2,
    sigma: options.Sigma = None,
    output_format: options.OutputFormat = "png",
    in_flight: InFlight = 8,
    seed: options.Seed = None,
    prior: options.Prior = None,
    preset: options.PresetName = None,
    steps: options.Steps = None,
    param: options.Param = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Make pictures larger."""
    fields = options.request_options(
        seed=seed, prior=prior, preset=preset, steps=steps, param=param, sigma=sigma, output_format=output_format
    )
    order = FolderOrder("super_resolution", source, target, fields | {"scale": scale}, in_flight=in_flight, force=force)
    restore_folder(order, url=url, api_key=api_key, as_json=as_json)


@app.command()
def inpaint(
    source: Source,
    target: Target,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of masks named as the pictures, or one mask for all.")
    ] = None,
    mask_mode: options.MaskModeName = None,
    grow_mask: options.GrowMask = None,
    sigma: options.Sigma = None,
    output_format: options.OutputFormat = "png",
    in_flight: InFlight = 8,
    seed: options.Seed = None,
    prior: options.Prior = None,
    preset: options.PresetName = None,
    steps: options.Steps = None,
    param: options.Param = None,
    force: options.Force = False,
    as_json: options.AsJson = False,
    url: options.Url = DEFAULT_URL,
    api_key: options.ApiKey = None,
) -> None:
    """Fill what masks mark as lost."""
    if masks is None and mask_mode != "alpha_unknown":
        raise typer.BadParameter("name the masks, or give --mask-mode alpha_unknown", param_hint="--masks")
    fields = options.request_options(
        seed=seed,
        prior=prior,
        preset=preset,
        steps=steps,
        param=param,
        sigma=sigma,
        output_format=output_format,
        mask_mode=mask_mode,
        grow_mask=grow_mask,
    )
    order = FolderOrder("inpaint", source, target, fields, masks, in_flight=in_flight, force=force)
    restore_folder(order, url=url, api_key=api_key, as_json=as_json)


def restore_folder(order: FolderOrder, *, url: str, api_key: str | None, as_json: bool) -> None:
    """Run an order with a progress bar. Exit status 1 where pictures failed, after a table of which and why."""
    with failures_told(as_json):
        order.check()
        with connected(url, api_key):
            manifest = asyncio.run(run(order, url, api_key))
        failed = [entry for entry in manifest.files if entry.status == "failed"]
        if as_json:
            out_json(manifest.model_dump(mode="json"))
        else:
            out(f"{len(manifest.files) - len(failed)} of {len(manifest.files)} pictures are in {order.target}")
            if order.task == "denoise":
                out(tally(manifest))
        if failed:
            error_console().print(table_of(failed))
            raise typer.Exit(1)


async def run(order: FolderOrder, url: str, api_key: str | None) -> Manifest:
    columns = (
        TextColumn(order.task),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[failed]}"),
    )
    async with AsyncRediffuse(url, api_key) as client:
        with Progress(*columns, console=error_console()) as bar:
            watcher = Bar(bar)
            folder_run = FolderRun(client, order, watcher)
            watcher.start(len(folder_run.file.entries))
            try:
                return await folder_run.run()
            except asyncio.CancelledError:
                bar.console.print("What is done is recorded; the same command goes on from here.")
                raise


class Bar:
    """Shows a run: pictures that ended, plus the fractions of those that are running."""

    def __init__(self, progress: Progress):
        self.progress = progress
        self.line = progress.add_task("", total=None, failed="")
        self.ended_count = 0
        self.failed_count = 0
        self.fractions: dict[str, float] = {}

    def start(self, total: int) -> None:
        self.progress.update(self.line, total=total)

    def progressed(self, entry: Entry, fraction: float) -> None:
        self.fractions[entry.source] = fraction
        self._show()

    def ended(self, entry: Entry) -> None:
        self.fractions.pop(entry.source, None)
        self.ended_count += 1
        self.failed_count += entry.status == "failed"
        self._show()

    def _show(self) -> None:
        done = self.ended_count + sum(self.fractions.values())
        failed = f"{self.failed_count} failed" if self.failed_count else ""
        self.progress.update(self.line, completed=done, failed=failed)


def tally(manifest: Manifest) -> str:
    """What became of noisy pictures."""
    clean = sum(entry.status == "done" and entry.clean is True for entry in manifest.files)
    failed = sum(entry.status == "failed" for entry in manifest.files)
    return f"{len(manifest.files) - clean - failed} cleaned, {clean} found clean, {failed} failed"


def table_of(failed: list[Entry]) -> Table:
    table = Table("picture", "code", "why", title=f"{len(failed)} failed")
    for entry in failed:
        if entry.error is not None:
            table.add_row(entry.source, entry.error.code, entry.error.detail)
    return table
