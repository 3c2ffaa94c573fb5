"""What a person sees: results on standard output, everything else on standard error, never a traceback."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from api_schemas.problems import Problem
from client.errors import AuthenticationError, ConnectionFailed, JobFailedError, ProblemError, RediffuseError, unsaid
from client.folders import OrderRefused
from client.sync_client import Rediffuse

INTERRUPTED = 130


def error_console() -> Console:
    """Made when it is used: tests and pipes replace standard error."""
    return Console(stderr=True)


def out(text: str) -> None:
    """Print a result, plain: for eyes and for pipes."""
    Console(soft_wrap=True, highlight=False, markup=False).print(text)


def out_json(value: Any) -> None:
    out(json.dumps(value, indent=2))


@contextmanager
def failures_told(as_json: bool = False) -> Iterator[None]:
    """Turns what may go wrong into words and exit status 1; Ctrl-C into status 130."""
    try:
        yield
    except KeyboardInterrupt:
        error_console().print("[yellow]interrupted[/]")
        raise typer.Exit(INTERRUPTED) from None
    except (RediffuseError, OrderRefused, OSError, ValueError) as error:
        if as_json:
            out_json({"error": error_json(error)})
        tell(error)
        raise typer.Exit(1) from None


def tell(error: Exception) -> None:
    """An error in the words of a person."""
    console = error_console()
    console.print(f"[bold red]Error:[/] {escape(headline(error))}", highlight=False, soft_wrap=True)
    problem = problem_of(error)
    for field in unsaid(problem) if problem else []:
        console.print(f"  [bold]{escape(field.pointer)}[/] {escape(field.detail)}", highlight=False, soft_wrap=True)
    if isinstance(error, ConnectionFailed):
        advice = "Start a service on this machine with `make serve`, or name another with --url or REDIFFUSE_URL."
        console.print(advice, soft_wrap=True)
    if isinstance(error, AuthenticationError):
        console.print("Give a key with --api-key or REDIFFUSE_API_KEY.")


def headline(error: Exception) -> str:
    problem = problem_of(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if problem is None:
        return str(error)
    place = f"job {error.job.id} {error.job.status}: " if isinstance(error, JobFailedError) else ""
    return f"{place}{problem.title}: {problem.detail}"


def problem_of(error: Exception) -> Problem | None:
    if isinstance(error, ProblemError):
        return error.problem
    return error.job.error if isinstance(error, JobFailedError) else None


def error_json(error: Exception) -> dict[str, Any]:
    """The problem where there is one, else the name of the error and its words."""
    problem = problem_of(error)
    if problem is not None:
        return problem.model_dump(mode="json")
    return {"code": type(error).__name__, "detail": str(error)}


@contextmanager
def connected(url: str, api_key: str | None) -> Iterator[Rediffuse]:
    """A client of a service that answers; raises `ConnectionFailed` at once where none does."""
    with Rediffuse(url, api_key) as client:
        client.check_alive()
        yield client
