"""How far a spread is from the errors that are made: a few numbers for each task, measured for a prior.

They lie beside the prior, since they say how wrong that prior is, and name the weights that they were measured with.
`python -m benchmarks.calibrate --prior NAME` fits them to training photographs.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from solvers.beside import read_beside, write_beside

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
    return DEFAULTS | (read_beside(folder / FILE, digest, "calibration", _by_task) or {})


def _by_task(fields: dict[str, Any]) -> dict[str, Calibration]:
    rows = fields["tasks"].items()
    return {task: Calibration(float(row["scale"]), float(row["growth"]), measured=True) for task, row in rows}


def write_calibrations(folder: Path, digest: str, calibrations: dict[str, Calibration]) -> Path:
    """By task, for `read_calibrations`; replaces what was there."""
    rows = {task: {"scale": round(c.scale, 3), "growth": round(c.growth, 3)} for task, c in calibrations.items()}
    return write_beside(folder / FILE, digest, {"tasks": rows})
