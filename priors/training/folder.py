"""The folder of one run: its files, and what a resumed run must have in common with the one that it goes on with."""

import contextlib
import dataclasses
import json
import os
from pathlib import Path
from typing import Any

from priors.training.config import FREE, TrainingConfig, TrainingError


class RunFolder:
    def __init__(self, path: Path):
        self.path = path
        self.config = path / "training.json"
        self.checkpoint = path / "checkpoint.pt"
        self.log = path / "loss.jsonl"
        self.prior = path / "prior"

    def check(self, config: TrainingConfig) -> None:
        """Raise TrainingError, naming the option, where `config` would silently turn the run here into another."""
        if not self.checkpoint.exists():
            return
        try:
            recorded = json.loads(self.config.read_text())
        except (OSError, ValueError) as error:
            raise TrainingError(f"{self.config}, of the checkpoint beside it, cannot be read: {error}") from error
        for field in dataclasses.fields(config):
            value = getattr(config, field.name)
            before = recorded.get(field.name, field.default)  # an older version had not every field
            before = tuple(before) if isinstance(before, list) else before
            if field.name not in FREE and value != before:
                raise TrainingError(
                    f"--{field.name.replace('_', '-')}: the run in {self.path} has {before!r}, not {value!r}. Resume "
                    f"it is, or begin another with --start-from {self.prior}"
                )

    def write_config(self, config: TrainingConfig) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.config, json.dumps(dataclasses.asdict(config), indent=1) + "\n")

    def resume_log(self, step: int) -> list[dict[str, Any]]:
        """Cut `loss.jsonl` back to the lines up to `step`, without what a killed run half wrote; returns these."""
        records = []
        for line in self.log.read_text().splitlines() if self.log.exists() else []:
            with contextlib.suppress(ValueError):
                records.append(json.loads(line))
        records = [record for record in records if record["step"] <= step]
        write_whole(self.log, "".join(json.dumps(record) + "\n" for record in records))
        return records

    def log_record(self, record: dict[str, Any]) -> None:
        with self.log.open("a") as file:
            file.write(json.dumps(record) + "\n")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that is never seen half-written."""
    draft = path.with_name(path.name + ".tmp")
    draft.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(draft, path)
