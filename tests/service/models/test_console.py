"""What a failure looks like."""

import errno

import pytest
import typer

from priors.manifest import PriorError
from service.models.console import INTERRUPTED, failures_told


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (PriorError("prior a: [bold]x[/]\nis\twrong"), "Error: prior a: [bold]x[/] is wrong"),
        (OSError(errno.ENOSPC, "No space left on device", "/models/a"), "Error: /models/a: No space left on device"),
        (ConnectionError("gone"), "Error: gone"),
    ],
)
def test_a_failure_is_one_line(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, failures_told():
        raise error
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err == f"{line}\n"


def test_an_interruption_is_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as ended, failures_told():
        raise KeyboardInterrupt
    assert (ended.value.exit_code, capsys.readouterr().err) == (INTERRUPTED, "interrupted\n")


def test_a_mistake_of_ours_is_not_hidden() -> None:
    with pytest.raises(KeyError), failures_told():
        raise KeyError("bug")
