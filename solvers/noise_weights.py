"""What the features of a picture tell of its noise: sums by weights that were fitted to pictures whose noise is known.

Errors of the level and of the energy come from a ridge regression over training photographs behind simulated cameras,
the odds of noise from a logistic one. The weights of flat blocks are `WEIGHTS`. What a denoiser takes off shows more,
but every denoiser takes off other things: such weights are a `Reading` that belongs to one prior and lies beside it.
`python -m benchmarks.noise_reading` fits both.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from solvers.beside import read_beside, write_beside
from solvers.camera_noise import CameraNoise
from solvers.noise_features import COLOUR, GREY, PLANES, VERSION

FILE = "noise_reading.json"
"""In the folder of the prior."""


class Weight(NamedTuple):
    """Of one feature, or the sum over all of them."""

    level: float
    """For the error of ln sigma."""
    energy: float
    """For that of ln(sigma^2 b8)."""
    odds: float = 0.0
    """For the log-odds of noise against texture."""


Weights = Mapping[str, Weight]
"""Of every feature by its name."""
MOST = Weight(level=1.0, energy=2.5)
"""Largest corrections; beyond them a picture is like none that the weights were fitted to."""


@dataclass(frozen=True)
class Reading:
    """Of one denoiser."""

    kinds: Mapping[str, Weights]
    """By the kind of the picture."""


def weighed(weights: Weights, seen: Mapping[str, float]) -> Weight:
    columns = zip(*weights.values(), strict=True)
    return Weight(*(sum(each * seen[name] for name, each in zip(weights, own, strict=True)) for own in columns))


def put_right(found: CameraNoise, error: Weight) -> CameraNoise:
    """`found` without the errors that its features show."""
    level = min(max(error.level, -MOST.level), MOST.level)
    energy = min(max(error.energy, -MOST.energy), MOST.energy)
    return replace(found, sigma=found.sigma * math.exp(-level), b8=max(1.0, found.b8 * math.exp(2 * level - energy)))


def read_reading(folder: Path, digest: str) -> Reading | None:
    """Of a prior; None where it has none, or one of other weights than `digest` or of other features.

    Raises ValueError for a file that is no reading.
    """
    return read_beside(folder / FILE, digest, "reading of noise", _converted)


def _converted(fields: dict[str, Any]) -> Reading | None:
    if fields["features"] != VERSION:
        return None
    kinds = {str(kind): _weights(rows) for kind, rows in fields["kinds"].items()}
    if not kinds or not kinds.keys() <= PLANES.keys():
        raise ValueError(f"other kinds of pictures than {', '.join(PLANES)}")
    return Reading(kinds)


def _weights(rows: dict[str, Any]) -> Weights:
    weights = {str(name): Weight(*map(float, row)) for name, row in rows.items() if isinstance(row, list)}
    sound = len(weights) == len(rows) > 0 and all(len(row) == 3 for row in rows.values())
    if not sound or not all(math.isfinite(each) for weight in weights.values() for each in weight):
        raise ValueError("not three numbers for every feature")
    return weights


def write_reading(folder: Path, digest: str, reading: Reading) -> Path:
    """For `read_reading`; replaces what was there."""
    rows = {
        kind: {name: [round(number, 4) for number in weight] for name, weight in own.items()}
        for kind, own in reading.kinds.items()
    }
    return write_beside(folder / FILE, digest, {"features": VERSION, "kinds": rows})


WEIGHTS: dict[str, Weights] = {
    COLOUR: {
        "one": Weight(0.5629, 1.3096),
        "level": Weight(0.7316, 1.9967),
        "b8": Weight(0.1545, 1.3634),
        "diagonal": Weight(0.7000, -0.7897),
        "brightness": Weight(-0.0117, 0.1069),
        "lowered": Weight(-0.3563, -1.1149),
        "uneven": Weight(0.0780, 0.6322),
        "directed": Weight(0.2608, 0.8071),
        "excess": Weight(-0.2831, -0.1747),
        "red-blue 1 straight": Weight(-0.0496, -0.0475),
        "red-blue 1 diagonal": Weight(-0.0199, -0.0794),
        "red-blue 2 straight": Weight(-0.1155, -0.2012),
        "red-blue 2 diagonal": Weight(0.0394, -0.1106),
        "red-blue 3 straight": Weight(-0.0165, 0.0259),
        "red-blue 3 diagonal": Weight(0.0679, 0.0723),
        "red-blue mean": Weight(-0.0230, -0.1396),
        "green 1 straight": Weight(0.1304, 0.3773),
        "green 1 diagonal": Weight(0.0035, 0.0569),
        "green 2 straight": Weight(-0.1380, -0.2394),
        "green 2 diagonal": Weight(0.0422, 0.2806),
        "green 3 straight": Weight(-0.1556, -0.6226),
        "green 3 diagonal": Weight(-0.0031, -0.0152),
        "green mean": Weight(-0.0662, -0.2713),
    },
    GREY: {
        "one": Weight(1.3987, 3.6091),
        "level": Weight(0.3363, 0.6243),
        "b8": Weight(0.1421, 1.3254),
        "diagonal": Weight(0.1307, -1.6349),
        "brightness": Weight(0.0583, 0.3945),
        "lowered": Weight(-0.0059, -0.1508),
        "uneven": Weight(0.2341, 0.8931),
        "directed": Weight(0.4511, 1.3170),
        "grey 1 straight": Weight(-0.1630, -0.2192),
        "grey 1 diagonal": Weight(-0.0119, 0.2163),
        "grey 2 straight": Weight(0.0124, -0.2134),
        "grey 2 diagonal": Weight(0.0257, -0.0699),
        "grey 3 straight": Weight(0.0862, 0.2490),
        "grey 3 diagonal": Weight(0.0194, -0.0418),
        "grey mean": Weight(-0.0100, 0.0361),
    },
}
"""By the kind of the picture, of every feature of its blocks."""
