"""The command line."""

import signal
from pathlib import Path

import pytest

from priors.training.__main__ import interruptible, main, parse_arguments
from priors.training.config import TrainingConfig
from tests.priors.training.tiny import options, tiny


def test_every_setting_is_an_option(tmp_path: Path) -> None:
    assert parse_arguments(["--data", "D", "--out", "O"]) == (TrainingConfig(data="D", out="O"), False)
    assert parse_arguments([*options(tmp_path, tmp_path / "out"), "--dry-run"]) == (
        tiny(tmp_path, tmp_path / "out"),
        True,
    )
    config, _ = parse_arguments(["--data", "D", "--out", "O", "--compile", "--unshuffle", "1", "--min-scale", "0.5"])
    assert (config.compile, config.unshuffle, config.min_scale) == (True, 1, 0.5)


def test_the_help_describes_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    text = capsys.readouterr().out
    assert "(default: 80000)" in text and "folder of photographs" in text and "--dry-run" in text


def test_a_run_from_the_command_line_to_its_end(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(options(pictures, tmp_path))
    assert capsys.readouterr().out.splitlines()[-1] == f"prior written to {tmp_path}/prior"


@pytest.mark.parametrize("changes", [{"crops": 0}, {"data": "/nowhere"}, {"start_from": "nobody"}])
def test_what_cannot_be_is_one_line_not_a_traceback(pictures: Path, tmp_path: Path, changes: dict[str, object]) -> None:
    arguments = options(pictures, tmp_path, **changes)
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert str(caught.value).startswith("error: --") and "\n" not in str(caught.value)


def test_pictures_that_no_one_can_read_are_one_line_too(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for path in pictures.iterdir():  # their headers are whole
        (tmp_path / "data" / path.name).write_bytes(path.read_bytes()[:200])
    with pytest.raises(SystemExit, match="error: there is no readable photograph"):
        main(options(tmp_path / "data", tmp_path / "out"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_is_pythons_own(number: int) -> None:
    before = signal.getsignal(number)
    with interruptible() as stop:
        signal.raise_signal(number)
        assert stop.is_set() and signal.getsignal(number) == before
    assert signal.getsignal(number) == before


def test_a_stopped_run_says_how_to_go_on(pictures: Path, tmp_path: Path) -> None:
    def interrupt(number: int, frame: object) -> None:
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 1.5)  # in the middle of a run that would last for an hour
    try:
        with pytest.raises(SystemExit, match="stopped: the same command goes on from the checkpoint in"):
            main(options(pictures, tmp_path, crops=10**6, checkpoint_every=10**6))
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert (tmp_path / "checkpoint.pt").exists() and (tmp_path / "prior" / "prior.json").exists()
