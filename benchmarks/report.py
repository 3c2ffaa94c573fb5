"""A table on the screen and the same figures as JSON, with the machine and the commit that they were measured on."""

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.served import served_dtype

RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


def publish(name: str, rows: Sequence[Row], settings: Row, folder: Path = RESULTS) -> Path:
    """Print `rows` as a table and write them to `<folder>/<name>.json`."""
    table = Table(title=name)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    for column in columns:
        table.add_column(column, justify="left" if isinstance(rows[0].get(column), str) else "right")
    for row in rows:
        table.add_row(*(_text(row.get(column)) for column in columns))
    Console(width=160).print(table)
    return write(name, rows, settings, folder)


def write(name: str, rows: Sequence[Row], settings: Row, folder: Path = RESULTS) -> Path:
    """`publish` without the table on the screen: for what is not complete yet."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    document = {"name": name, "settings": settings, "machine": machine(), "rows": list(rows)}
    path.write_text(json.dumps(document, indent=1) + "\n")
    return path


def means(rows: Sequence[Row]) -> Row:
    """Of every figure, over the rows that have it."""
    keys = dict.fromkeys(key for row in rows for key in row)
    return {key: statistics.mean(row[key] for row in rows if key in row) for key in keys}


def machine() -> Row:
    """What a reader needs to judge a figure of speed."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "commit": commit.stdout.strip(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "served in": str(served_dtype()).removeprefix("torch."),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.1e}" if 0 < abs(value) < 1e-3 else f"{value:.3f}"
    return str(value)
