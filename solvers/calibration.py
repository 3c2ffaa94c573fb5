"""How the spread of an ensemble becomes a standard deviation: a few numbers for each task, measured for a prior.

They are fitted on training photographs by `python -m benchmarks.calibrate --prior NAME` and lie beside the prior, in
`calibration.json`, since they say how far that prior is from the truth.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from torch import Tensor

FILE = "calibration.json"
"""In the folder of a prior."""


@dataclass(frozen=True)
class Calibration:
    """deviation = sqrt((scale * spread)^2 + floor^2), on the [-1, 1] scale."""

    scale: float = 1.0
    floor: float = 0.0
    measured: bool = False
    """Whether the numbers were fitted for the prior at hand. False for defaults."""

    def apply(self, spread: Tensor) -> Tensor:
        return (self.scale * spread).square().add(self.floor**2).sqrt()


def read_calibrations(path: Path) -> dict[str, Calibration]:
    """By task; empty where there is no such file. Raises ValueError for one that cannot be used."""
    if not path.is_file():
        return {}
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return {task: Calibration(float(row["scale"]), float(row["floor"]), True) for task, row in fields.items()}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"{path} is no calibration: {error}") from error


def write_calibrations(path: Path, calibrations: dict[str, Calibration]) -> None:
    rows = {task: asdict(calibration) for task, calibration in calibrations.items()}
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
