"""What a person sees: results on standard output, everything else on standard error, never a traceback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from priors.manifest import PriorError, PriorInfo
from service.models.listing import Entry
from service.settings import Settings

if TYPE_CHECKING:  # torch, which only some of the commands need
    from service.models.check import Report

INTERRUPTED = 130


def error_console() -> Console:
    """Made when it is used: tests and pipes replace standard error."""
    return Console(stderr=True, soft_wrap=True, highlight=False)


def out(text: str) -> None:
    """Print a result, plain: for eyes and for pipes."""
    Console(soft_wrap=True, highlight=False, markup=False).print(text)


def out_json(value: Any) -> None:
    out(json.dumps(value, indent=2))


@contextmanager
def failures_told(as_json: bool = False) -> Iterator[None]:
    """Turns what may go wrong into one line and exit status 1; Ctrl-C into status 130."""
    try:
        yield
    except KeyboardInterrupt:
        error_console().print("[yellow]interrupted[/]")
        raise typer.Exit(INTERRUPTED) from None
    except (PriorError, OSError) as error:
        text = headline(error)
        if as_json:
            out_json({"error": text})
        error_console().print(f"[bold red]Error:[/] {escape(text)}")
        raise typer.Exit(1) from None


def headline(error: Exception) -> str:
    """In one line."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def tell_arrival(info: PriorInfo, models_dir: Path, settings: Settings) -> None:
    """That a prior is there, and what is left to do."""
    out(f"{info.name} is in {models_dir}: {info.kind}, {info.parameterisation}, noise levels {levels(info)}")
    option = ""
    if models_dir.resolve() != settings.models_dir.resolve():
        option = escape(f" --models {models_dir}")
        error_console().print(f"A service finds it with REDIFFUSE_MODELS_DIR={escape(str(models_dir.resolve()))}")
    error_console().print(f"Next: `rediffuse-priors check {info.name}{option}`")


def tell_list(found: list[Entry], default: Path) -> None:
    """A row a prior, with its licence below its name, or why it is unusable. default: folder of the default prior."""
    table = Table(
        "prior, licence", "kind", "noise levels", "size", "MB", box=SIMPLE_HEAD, show_edge=False, pad_edge=False
    )
    for entry in found:
        licence = f"[dim]{escape(entry.info.licence)}[/]" if entry.info else ""
        about = f"[red]unusable:[/] {escape(entry.reason)}" if entry.reason else licence
        name = f"{escape(entry.folder.name)}{' *' if entry.folder == default else ''}"
        table.add_row(f"[bold]{name}[/]\n{about}", *described(entry.info), f"{entry.bytes / 1e6:.1f}")
    for column in table.columns[1:]:
        column.no_wrap = True
    console = Console(highlight=False)
    console.print(table)
    console.print("* the default")


def described(info: PriorInfo | None) -> tuple[str, str, str]:
    """Kind with what it predicts, levels, and size rule."""
    if info is None:
        return "", "", ""
    size = f"any, by {info.multiple_of}" if info.fully_convolutional else f"{info.native_size} px"
    return escape(f"{info.kind}, {info.parameterisation}"), levels(info), size


def levels(info: PriorInfo) -> str:
    return f"{info.sigma_min:.3g} to {info.sigma_max:.4g}"


def tell_report(report: "Report") -> None:
    """The levels as a table, then a verdict a line."""
    table = Table("sigma of 255", "sigma", "noisy, dB", "denoised, dB", "slope", "calibration")
    for score in report.levels:
        decibels = f"{score.psnr_noisy:.2f}", f"{score.psnr:.2f}"
        scale = f"{score.slope:.3f}", f"{score.calibration:.3f}"
        table.add_row(f"{score.sigma_255:g}", f"{score.sigma:.4f}", *decibels, *scale)
    for column in table.columns:
        column.justify = "right"
    if report.levels:
        Console().print(table)
    for verdict in report.verdicts:
        mark = "[green]PASS[/]" if verdict.passed else "[bold red]FAIL[/]"
        Console(soft_wrap=True, highlight=False).print(f"{mark} {verdict.what}: {escape(verdict.why)}")
