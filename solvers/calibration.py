"""How far a spread is from the errors that are made: a few numbers for each task, measured for a prior.

They lie beside the prior, since they say how wrong that prior is, and name the weights that they were measured with.
`python -m benchmarks.calibrate --prior NAME` fits them to training photographs.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

FILE = "calibration.json"
"""In the folder of the prior."""


CEILING = 1 / math.sqrt(3)
"""Standard deviation of a value that may be anything in [-1, 1]."""


@dataclass(frozen=True)
class Calibration:
    """deviation = scale * gap^growth * spread, at most `CEILING`."""

    scale: float = 1.0
    growth: float = 0.0
    """The farther from what is measured, the less of what may be there does a prior know."""
    measured: bool = False
    """Whether the numbers were measured with the prior at hand."""

    def apply(self, spread: Tensor, gap: Tensor | float = 1.0) -> Tensor:
        """gap: pixels to what is measured, at least 1; see `solvers.uncertainty.gap_of`."""
        return (spread * (self.scale * gap**self.growth)).clamp(max=CEILING)


DEFAULTS = {
    "inpaint": Calibration(0.95, 0.75),
    "super_resolution": Calibration(0.9, 0.85),
    "denoise": Calibration(0.95),
    "deblur": Calibration(0.9),
}
"""For priors that nobody measured: near those of the bundled one. Other tasks keep the spread as it is."""


def read_calibrations(folder: Path, digest: str) -> dict[str, Calibration]:
    """Those of a prior by task, with the defaults for what it has not, or has of other weights than `digest`.

    Raises ValueError for a file that is no calibration.
    """
    path = folder / FILE
    if not path.is_file():
        return DEFAULTS
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if fields["sha256"] != digest:
            return DEFAULTS
        rows = fields["tasks"].items()
        found = {task: Calibration(float(row["scale"]), float(row["growth"]), measured=True) for task, row in rows}
    except (ArithmeticError, AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no calibration: {error!r}") from error
    return DEFAULTS | found


def write_calibrations(folder: Path, digest: str, calibrations: dict[str, Calibration]) -> Path:
    """By task, for `read_calibrations`; replaces what was there."""
    rows = {task: {"scale": round(c.scale, 3), "growth": round(c.growth, 3)} for task, c in calibrations.items()}
    path = folder / FILE
    path.write_text(json.dumps({"sha256": digest, "tasks": rows}, indent=1) + "\n", encoding="utf-8")
    return path
