"""The noise of a photograph, as ScoreDVI goes by it: level, correlation, whether it is white, and whether there is any.

Texture raises the level that is read from the flattest blocks, and the correlation more so; both leave traces: colours
differ less than grey does, blocks are uneven, directions stand out, coarse bands hold more than fine ones. Two linear
functions of such features say how far ln sigma and ln(sigma^2 b8) are off. Their weights are a ridge regression over
training photographs behind simulated cameras, whose noise is known: `python -m benchmarks.noise_reading`.

What a denoiser takes off shows more, and a third function, a logistic regression, tells from it noise and texture. But
every denoiser takes off other things: such weights are a `Reading` that belongs to one prior and lies beside it.
"""

import math
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from solvers.beside import read_beside, write_beside
from solvers.camera_noise import CameraNoise, camera_noise_of, estimate_camera_noise, is_colourless
from solvers.checks import check_finite
from solvers.flat_blocks import SIDE, flat_blocks
from solvers.noise_features import VERSION, block_features, residual_features
from solvers.noise_level import estimate_sigma
from solvers.query import Problem, Query

FILE = "noise_reading.json"
"""In the folder of the prior."""
WEIGHTS: dict[str, tuple[float, ...]] = {
    "one": (0.4125, 1.5147),
    "level": (0.8048, 2.1090),
    "b8": (0.1974, 1.4257),
    "diagonal": (0.9208, -0.6076),
    "brightness": (-0.0142, 0.1198),
    "lowered": (-0.3641, -0.9937),
    "uneven": (0.0789, 0.7949),
    "directed": (0.2752, 0.9514),
    "red-blue 1 straight": (-0.0728, -0.1047),
    "red-blue 1 diagonal": (-0.0125, 0.0619),
    "red-blue 2 straight": (-0.0578, -0.2125),
    "red-blue 2 diagonal": (0.0517, -0.0443),
    "red-blue 3 straight": (-0.0708, -0.1384),
    "red-blue 3 diagonal": (0.0193, -0.0257),
    "red-blue mean": (-0.0457, -0.0554),
    "green 1 straight": (0.2810, 0.6496),
    "green 1 diagonal": (-0.0843, -0.2254),
    "green 2 straight": (-0.1949, -0.3212),
    "green 2 diagonal": (0.0639, 0.3184),
    "green 3 straight": (-0.1631, -0.5341),
    "green 3 diagonal": (-0.0147, -0.0943),
    "green mean": (-0.0632, -0.2913),
}
"""Of every feature, for the errors of ln sigma and of ln(sigma^2 b8)."""
MOST = (0.7, 2.0)
"""Largest corrections of either; beyond it a picture is like none that the weights were fitted to."""
CLEAN, CLEAN_FINE = 1.5 / 127.5, 0.6 / 127.5
"""Levels at and below which there is no noise to remove: of all of it, and of the diagonal Haar band, where every
camera has some."""
CLEAN_EVIDENCE = 12.0 / 127.5
"""Evidence of noise at and below which it is texture that was found, where no denoiser is asked."""
WHITE = 0.2
"""Correlation of neighbours below which noise is white. Simulated cameras (demosaicing, blur, JPEG) have 0.34 and
more; white noise from 15 of 255 on shows up to 0.1, for the texture that is read with it."""
WHITE_RESIDUAL = 0.1
"""The same in what the denoiser takes off, where there is less texture."""
ODDS = 2
"""Column of the weights of a `Reading`."""
WEAKEST = 0.8 / 127.5
"""Level that the denoiser is told at least."""
PART = 256
"""Side in pixels of the parts of a large picture that the denoiser sees: a few passes of 12 megapixels take minutes."""
ASKED = {"once": 1.0, "twice": 2.0}
"""The levels that it is told, in units of the one that the blocks show."""


@dataclass(frozen=True)
class Noise:
    """On the [-1, 1] scale."""

    sigma: float
    b8: float
    """See `CameraNoise`."""
    white: bool
    clean: bool
    """There is none that could be removed."""
    calls: int = 0
    """Of the denoiser, that it took to see this."""


@dataclass(frozen=True)
class Reading:
    """Of one denoiser, for every feature: weights for the errors of ln sigma and ln(sigma^2 b8), and for the log-odds
    of noise against texture."""

    weights: Mapping[str, tuple[float, ...]]


def read_noise(problem: Problem, reading: Reading | None = None) -> Generator[Query, Tensor, Noise]:
    """Of a picture, with one query, of two levels, where there is a reading; a level that the problem has is kept.

    A grey picture, and one below 16 pixels, has not the features: its noise is read as without a reading.
    """
    found, seen = yield from look(problem.measurement, reading is not None)
    calls = int(reading is not None and bool(seen))
    if reading is None or reading.weights.keys() != seen.keys():  # a picture has none that is grey or tiny
        return _by_blocks(problem, found, seen, calls)
    read = put_right(found, reading.weights, seen)
    white = seen["once lag 1"] < WHITE_RESIDUAL
    sigma = _level(problem, white, read)
    nothing = weighed(reading.weights, seen, ODDS) < 0 or sigma <= CLEAN
    return Noise(sigma, read.b8, white, problem.sigma_y == 0 and nothing, calls)


def look(image: Tensor, asks: bool) -> Generator[Query, Tensor, tuple[CameraNoise, dict[str, float]]]:
    """What the blocks show, and the features of the picture, (1, C, H, W). asks: the denoiser, too."""
    found, seen = _in_blocks(image)
    if asks and seen:
        shown = parts(image)
        level = max(put_right(found, WEIGHTS, seen).sigma, WEAKEST)
        levels = level * image.new_tensor(list(ASKED.values()))
        rows = shown.repeat(len(levels), 1, 1, 1)
        answer = yield Query(rows, levels.repeat_interleave(len(shown)), step=0, total=1, estimate=image)
        check_finite(answer, 0, "what the denoiser answers")
        for residual, told, name in zip((rows - answer).split(len(shown)), levels.tolist(), ASKED, strict=True):
            seen |= residual_features(residual, told, name)
    return found, seen


def parts(image: Tensor) -> Tensor:
    """The middles of the quarters of a large picture, (4, C, h, w), or (2, C, h, w) of a narrow one; else all of it."""
    height, width = image.shape[-2:]
    if height * width <= 4 * PART**2:
        return image
    h, w = min(PART, height), min(PART, width)
    corners = [(top, left) for top in _starts(height, h) for left in _starts(width, w)]
    return torch.cat([image[..., top : top + h, left : left + w] for top, left in corners])


def _starts(length: int, part: int) -> list[int]:
    return sorted({max(0, length // 4 - part // 2), min(length - part, 3 * length // 4 - part // 2)})


def noise_in_blocks(problem: Problem) -> Noise:
    """The same without a denoiser."""
    return _by_blocks(problem, *_in_blocks(problem.measurement))


def _by_blocks(problem: Problem, found: CameraNoise, seen: Mapping[str, float], calls: int = 0) -> Noise:
    found = put_right(found, WEIGHTS, seen) if seen else found
    white = found.neighbour < WHITE
    sigma = _level(problem, white, found)
    nothing = found.evidence <= CLEAN_EVIDENCE or sigma <= CLEAN or found.fine <= CLEAN_FINE
    return Noise(sigma, found.b8, white, problem.sigma_y == 0 and nothing, calls)


def _level(problem: Problem, white: bool, found: CameraNoise) -> float:
    """The given one. That of white noise shows best in the finest band, whatever texture there is beside."""
    return problem.sigma_y or (estimate_sigma(problem.measurement) if white else found.sigma)


def _in_blocks(image: Tensor) -> tuple[CameraNoise, dict[str, float]]:
    """As `estimate_camera_noise` finds it, and the features; none of a picture that is grey, tiny or flat."""
    if min(image.shape[-2:]) < SIDE:
        return estimate_camera_noise(image), {}
    blocks = flat_blocks(image)
    found = camera_noise_of(blocks)
    return found, {} if found.sigma == 0 or is_colourless(blocks) else block_features(blocks, found)


def put_right(found: CameraNoise, weights: Mapping[str, tuple[float, ...]], seen: Mapping[str, float]) -> CameraNoise:
    """`found` without the errors that its features show."""
    level, energy = (min(max(weighed(weights, seen, which), -most), most) for which, most in enumerate(MOST))
    return replace(found, sigma=found.sigma * math.exp(-level), b8=max(1.0, found.b8 * math.exp(2 * level - energy)))


def weighed(weights: Mapping[str, tuple[float, ...]], seen: Mapping[str, float], which: int) -> float:
    return sum(each[which] * seen[name] for name, each in weights.items())


def read_reading(folder: Path, digest: str) -> Reading | None:
    """Of a prior; None where it has none, or one of other weights than `digest` or of other features.

    Raises ValueError for a file that is no reading.
    """
    return read_beside(folder / FILE, digest, "reading of noise", _converted)


def _converted(fields: dict[str, Any]) -> Reading | None:
    if fields["features"] != VERSION:
        return None
    weights = {str(name): tuple(map(float, each)) for name, each in fields["weights"].items()}
    if not weights or any(len(each) != 3 or not all(map(math.isfinite, each)) for each in weights.values()):
        raise ValueError("not three numbers for every feature")
    return Reading(weights)


def write_reading(folder: Path, digest: str, reading: Reading) -> Path:
    """For `read_reading`; replaces what was there."""
    rows = {name: [round(weight, 4) for weight in each] for name, each in reading.weights.items()}
    return write_beside(folder / FILE, digest, {"features": VERSION, "weights": rows})
