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
        "one": Weight(0.7398, 1.9921),
        "level": Weight(0.5152, 1.2989),
        "b8": Weight(0.2087, 1.5246),
        "diagonal": Weight(0.2852, -2.1734),
        "brightness": Weight(-0.0116, 0.0994),
        "lowered": Weight(-0.2935, -0.8174),
        "uneven": Weight(0.1073, 0.7257),
        "directed": Weight(0.3320, 1.0638),
        "excess": Weight(-0.5214, -0.9024),
        "red-blue 1 straight": Weight(-0.0409, -0.0378),
        "red-blue 1 diagonal": Weight(-0.0021, 0.0072),
        "red-blue 2 straight": Weight(-0.1172, -0.2323),
        "red-blue 2 diagonal": Weight(0.0431, -0.1016),
        "red-blue 3 straight": Weight(0.0083, 0.0740),
        "red-blue 3 diagonal": Weight(0.0760, 0.1272),
        "red-blue mean": Weight(0.0028, -0.0437),
        "green 1 straight": Weight(0.1030, 0.3018),
        "green 1 diagonal": Weight(-0.0057, 0.0009),
        "green 2 straight": Weight(-0.1149, -0.2266),
        "green 2 diagonal": Weight(0.0291, 0.2631),
        "green 3 straight": Weight(-0.1046, -0.4506),
        "green 3 diagonal": Weight(-0.0096, -0.0352),
        "green mean": Weight(-0.0458, -0.1549),
    },
    GREY: {
        "one": Weight(1.3587, 3.4622),
        "level": Weight(0.3321, 0.6109),
        "b8": Weight(0.1485, 1.3666),
        "diagonal": Weight(0.0695, -1.8422),
        "brightness": Weight(0.0519, 0.3583),
        "lowered": Weight(-0.0062, -0.1535),
        "uneven": Weight(0.2367, 0.8833),
        "directed": Weight(0.4602, 1.3621),
        "grey 1 straight": Weight(-0.1634, -0.2112),
        "grey 1 diagonal": Weight(-0.0221, 0.1789),
        "grey 2 straight": Weight(0.0221, -0.1589),
        "grey 2 diagonal": Weight(0.0284, -0.0611),
        "grey 3 straight": Weight(0.0874, 0.2430),
        "grey 3 diagonal": Weight(0.0209, -0.0358),
        "grey mean": Weight(-0.0181, -0.0074),
    },
}
"""By the kind of the picture, of every feature of its blocks."""
