"""The curves of a run, from the lines of its `loss.jsonl`: as columns in `curves.json`, drawn in `curves.png`."""

import functools
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from priors.training.folder import write_whole

logger = logging.getLogger(__name__)


def columns(records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """`step`, `loss`, `validation_loss`, and `validation_psnr` by level: a list each, None where there is no record."""
    levels = list(dict.fromkeys(level for record in records for level in record.get("validation_psnr", {})))
    return {
        **{key: [record.get(key) for record in records] for key in ("step", "loss", "validation_loss")},
        "validation_psnr": {
            level: [record.get("validation_psnr", {}).get(level) for record in records] for level in levels
        },
    }


def write_curves(folder: Path, records: Sequence[dict[str, Any]]) -> None:
    """`curves.json`, and `curves.png` where matplotlib is installed."""
    curves = columns(records)
    write_whole(folder / "curves.json", json.dumps(curves) + "\n")
    if figure := _figure():
        write_whole(folder / "curves.png", draw(figure(figsize=(11, 4), layout="constrained"), curves))


@functools.cache
def _figure() -> Any:
    """matplotlib's class, without its state machine; None, said once, where it is missing."""
    try:
        from matplotlib.figure import Figure  # half a second of import, and not everybody has it
    except ImportError:
        logger.warning("no curves.png: pip install 'rediffuse[training]' brings matplotlib")
        return None
    return Figure


def draw(figure: Any, curves: dict[str, Any]) -> bytes:
    """A PNG. Left the losses; right how far each level was from its last PSNR: where all lie flat, the run has learnt
    what it can at its learning rate."""
    left, right = figure.subplots(1, 2)
    for key, label in (("loss", "training"), ("validation_loss", "validation, averaged weights")):
        left.plot(curves["step"], np.array(curves[key], float), label=label)  # None becomes a gap
    left.set(xlabel="step", ylabel="EDM loss")
    left.legend()
    for level, values in curves["validation_psnr"].items():
        right.plot(curves["step"], np.array(values, float) - values[-1], label=f"{level}: {values[-1]} dB")
    right.set(xlabel="step", ylabel="PSNR on held-out crops less the last one, dB", ylim=(-2, 0.5))
    if curves["validation_psnr"]:
        right.legend(title="noise level of 255")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    return png.getvalue()
