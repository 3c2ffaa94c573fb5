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
MOST = Weight(level=0.7, energy=2.0)
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
        "one": Weight(0.3666, 1.3437),
        "level": Weight(0.7276, 1.9185),
        "b8": Weight(0.2227, 1.5735),
        "diagonal": Weight(0.8393, -1.1420),
        "brightness": Weight(-0.0207, 0.1058),
        "lowered": Weight(-0.4280, -1.1960),
        "uneven": Weight(0.0388, 0.7329),
        "directed": Weight(0.2968, 0.8823),
        "red-blue 1 straight": Weight(-0.0460, -0.0343),
        "red-blue 1 diagonal": Weight(-0.0283, -0.0148),
        "red-blue 2 straight": Weight(-0.0356, -0.1774),
        "red-blue 2 diagonal": Weight(0.0323, -0.1281),
        "red-blue 3 straight": Weight(-0.1044, -0.2080),
        "red-blue 3 diagonal": Weight(0.0722, 0.1465),
        "red-blue mean": Weight(-0.0428, -0.1051),
        "green 1 straight": Weight(0.2093, 0.5445),
        "green 1 diagonal": Weight(-0.0405, -0.0957),
        "green 2 straight": Weight(-0.1710, -0.3248),
        "green 2 diagonal": Weight(0.0724, 0.3401),
        "green 3 straight": Weight(-0.1676, -0.6437),
        "green 3 diagonal": Weight(-0.0409, -0.0967),
        "green mean": Weight(-0.0362, -0.1273),
    },
    GREY: {
        "one": Weight(1.4357, 3.5859),
        "level": Weight(0.3193, 0.5655),
        "b8": Weight(0.1700, 1.5855),
        "diagonal": Weight(-0.4795, -3.9724),
        "brightness": Weight(0.0438, 0.3715),
        "lowered": Weight(0.0486, 0.0347),
        "uneven": Weight(0.2970, 0.9972),
        "directed": Weight(0.5103, 1.5042),
        "grey 1 straight": Weight(-0.1781, -0.2641),
        "grey 1 diagonal": Weight(-0.0285, 0.0877),
        "grey 2 straight": Weight(0.0768, -0.0586),
        "grey 2 diagonal": Weight(-0.0307, -0.0403),
        "grey 3 straight": Weight(0.0263, 0.0136),
        "grey 3 diagonal": Weight(0.0127, 0.0540),
        "grey mean": Weight(0.0498, 0.1187),
    },
}
"""By the kind of the picture, of every feature of its blocks."""
