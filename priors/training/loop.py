"""One run from its first step, or its last checkpoint, to its end."""

import json
import time
from pathlib import Path
from threading import Event
from typing import Any

import torch

from priors.training.config import TrainingConfig, TrainingError
from priors.training.cost import CROP, describe, estimate
from priors.training.curves import write_curves
from priors.training.data import gather
from priors.training.folder import RunFolder
from priors.training.processes import join_processes
from priors.training.state import Training
from priors.training.validation import Validation


def train(config: TrainingConfig, stop: Event | None = None, dry_run: bool = False) -> bool:
    """Run, or resume, a training; returns whether it has come to its end.

    stop: once set, the step at hand is the last; it ends in a checkpoint. dry_run: only say what the run will cost.
    Raises TrainingError and PriorError for a run that cannot be as it was asked for.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    run = RunFolder(Path(config.out))
    run.check(config)
    data, processes = gather(config), join_processes(config)

    def begin() -> Training:
        training = Training(config, data, processes, run.checkpoint if run.checkpoint.exists() else None)
        if training.step > config.steps:
            raise TrainingError(f"--crops {config.crops}: the run has made {training.step} steps, not {config.steps}")
        return training

    rehearsal = begin()
    cost = estimate(rehearsal)
    rehearsal.feed.close()
    del rehearsal
    training = begin()
    if processes.rank == 0:
        print(*describe(cost, training), sep="\n", flush=True)
    finished = not dry_run and Loop(training, run).run(stop or Event())
    processes.leave()
    return finished


class Loop:
    """The steps that are left, with a checkpoint every now and then. One process of several writes."""

    def __init__(self, training: Training, folder: RunFolder):
        self.training = training
        self.folder = folder
        self.writes = training.processes.rank == 0
        self.losses: list[float] = []
        """Of the steps since the last checkpoint."""
        if self.writes:
            folder.write_config(training.config)
            self.records = folder.resume_log(training.step)
            self.validation = Validation(training)
        self.started, self.first = time.monotonic(), training.step

    def run(self, stop: Event) -> bool:
        """Returns whether the run has come to its end."""
        training, config = self.training, self.training.config
        if self.writes and training.step == config.steps:
            training.export(self.folder.prior)
        stopped = False
        while training.step < config.steps and not stopped:
            self.losses.append(training.advance())
            stopped = training.processes.any(stop.is_set())
            if training.step % config.checkpoint_every == 0 or training.step == config.steps or stopped:
                if self.writes:
                    self._checkpoint()
                self.losses.clear()
        training.feed.close()
        finished = training.step == config.steps
        if self.writes and finished:
            print(f"prior written to {self.folder.prior}", flush=True)
        return finished

    def _checkpoint(self) -> None:
        """The record comes first: a run that is killed in between resumes before it and writes it again."""
        training = self.training
        self.records.append(self._record())
        self.folder.log_record(self.records[-1])
        training.save(self.folder.checkpoint)
        write_curves(self.folder.path, self.records)
        training.export(self.folder.prior)
        print(json.dumps(self.records[-1]), flush=True)

    def _record(self) -> dict[str, Any]:
        training, config = self.training, self.training.config
        seconds_a_step = (time.monotonic() - self.started) / (training.step - self.first)
        return {
            "step": training.step,
            "loss": round(sum(self.losses) / len(self.losses), 5),
            "validation_loss": round(self.validation.loss(), 5),
            "validation_psnr": self.validation.psnr(),
            "crops_per_s": round(config.batch_pixels / CROP / seconds_a_step, 1),
            "minutes_left": round((config.steps - training.step) * seconds_a_step / 60, 1),
        }
