"""The command line: `python -m priors.training --data FOLDER --out RUN`.

For several GPUs, `accelerate launch --multi_gpu -m priors.training ...` or `torchrun --nproc-per-node N -m ...`.
"""

import argparse
import contextlib
import dataclasses
import signal
import sys
from collections.abc import Iterator
from threading import Event
from types import FrameType

from priors.manifest import PriorError
from priors.photographs import NoPhotograph
from priors.training.config import TrainingConfig, TrainingError
from priors.training.loop import train


def parse_arguments(arguments: list[str] | None = None) -> tuple[TrainingConfig, bool]:
    """The configuration, every field of which is an option, and whether it is a dry run."""
    parser = argparse.ArgumentParser(
        prog="python -m priors.training",
        description="Train a pixel-space diffusion prior. The same command again resumes at the last checkpoint.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    for field in dataclasses.fields(TrainingConfig):
        name, text = "--" + field.name.replace("_", "-"), field.metadata["help"].replace("%", "%%")
        if field.default is dataclasses.MISSING:
            parser.add_argument(name, required=True, default=argparse.SUPPRESS, help=text)
        elif isinstance(field.default, bool):
            parser.add_argument(name, action=argparse.BooleanOptionalAction, default=field.default, help=text)
        elif isinstance(field.default, tuple):
            parser.add_argument(name, type=int, nargs="+", default=field.default, help=text)
        else:
            parser.add_argument(name, type=type(field.default), default=field.default, help=text)
    parser.add_argument("--dry-run", action="store_true", help="only say what the run will cost")
    values = vars(parser.parse_args(arguments))
    dry_run = values.pop("dry_run")
    return TrainingConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}), dry_run


@contextlib.contextmanager
def interruptible() -> Iterator[Event]:
    """An event that Ctrl-C, or the SIGTERM of a cluster's scheduler, sets. A second Ctrl-C interrupts at once."""
    stop = Event()

    def ask(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, before[number])
        print("stopping after this step", file=sys.stderr, flush=True)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def main(arguments: list[str] | None = None) -> None:
    try:
        config, dry_run = parse_arguments(arguments)
        with interruptible() as stop:
            finished = train(config, stop, dry_run)
    except (TrainingError, PriorError, NoPhotograph) as error:
        sys.exit(f"error: {error}")
    if not finished and not dry_run:
        sys.exit(f"stopped: the same command goes on from the checkpoint in {config.out}")


if __name__ == "__main__":
    main()
