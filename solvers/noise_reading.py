"""The noise of a photograph, as ScoreDVI goes by it: level, correlation, whether it is white, and whether there is any.

Texture raises the level that is read from the flattest blocks, and the correlation more so; both leave traces: colours
differ less than grey does, blocks are uneven, directions stand out, coarse bands hold more than fine ones. Two linear
functions of such features say how far ln sigma and ln(sigma^2 b8) are off, and a third one of what a denoiser takes
off tells noise from texture. `solvers.noise_weights` has their weights.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from solvers.camera_noise import CameraNoise, camera_noise_of, estimate_camera_noise
from solvers.checks import check_finite
from solvers.flat_blocks import SIDE, flat_blocks
from solvers.noise_features import COLOUR, GREY, block_features, kind_of, residual_features
from solvers.noise_level import estimate_sigma
from solvers.noise_weights import WEIGHTS, Reading, put_right, weighed
from solvers.query import Problem, Query

CLEAN, CLEAN_FINE = 1.5 / 127.5, 0.6 / 127.5
"""Levels at and below which there is no noise to remove: of all of it, and of the diagonal Haar band, where every
camera has some."""
CLEAN_EVIDENCE = 12.0 / 127.5
"""Evidence of noise at and below which it is texture that was found, where no denoiser is asked."""
WHITE = 0.2
"""Correlation of neighbours below which noise is white. Simulated cameras (demosaicing, blur, JPEG) have 0.34 and
more; white noise from 15 of 255 on shows up to 0.1, for the texture that is read with it."""
WHITE_RESIDUAL = {COLOUR: 0.1, GREY: 0.01}
"""The same in what the denoiser takes off, where there is less texture: by simulated cameras 0.46 and more, and in grey
pictures, whose noise it takes in part for texture, 0.03; white noise shows up to 0.01 there, -0.08 in the mean."""
CERTAIN = 8.5 / 127.5
"""Level above which what is white is noise, though no colours show it and no denoiser is asked: noise of all channels
alike, as film grain and picture editors add it. The crispest of 350 clean photographs, thumbnails, have 8.1."""
ALIKE = 0.85
"""Correlation between the channels above which white noise is the same in all: added so it shows 0.88 and more at 10 of
255, noise of each channel by itself up to 0.7 there, for the texture in it."""
DOUBT = 0.03
"""Probabilities this near to 0 and 1 are taken for 0 and 1."""
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
    probability: float = 1.0
    """That there is any that could be removed; 0 and 1 where there is hardly a doubt."""
    calls: int = 0
    """Of the denoiser, that it took to see this."""
    raised: float = 1.0
    """By what a denoiser is told more, where the channels are one measurement."""

    @property
    def told(self) -> float:
        return self.raised * self.sigma

    @property
    def clean(self) -> bool:
        return self.probability == 0


@dataclass(frozen=True)
class Look:
    """What was seen of a picture."""

    found: CameraNoise
    """As the blocks show it."""
    kind: str = ""
    features: dict[str, float] = field(default_factory=dict)
    """None, and no kind, of a picture that is tiny or flat."""
    calls: int = 0
    """Of the denoiser."""
    photographed: Tensor | None = None
    """See `FlatBlocks`, also for `colourless`."""
    colourless: bool = False

    @property
    def in_blocks(self) -> CameraNoise:
        """`found`, put right by what the blocks show."""
        return put_right(self.found, weighed(WEIGHTS[self.kind], self.features)) if self.features else self.found


def read_noise(problem: Problem, reading: Reading | None = None) -> Generator[Query, Tensor, Noise]:
    """Of a picture, with one query, of two levels, where there is a reading; a level that the problem has is kept."""
    seen = yield from look(problem.measurement, reading is not None)
    weights = reading.kinds.get(seen.kind) if reading else None
    if weights is None or weights.keys() != seen.features.keys():
        return _by_blocks(problem, seen)
    error, white = weighed(weights, seen.features), seen.features["once lag 1"] < WHITE_RESIDUAL[seen.kind]
    read = put_right(seen.found, error)
    sigma = _level(problem, seen, white, read)
    probability = 0.0 if sigma <= CLEAN else _probability(error.odds)
    return _noise(problem, seen, read.b8, sigma, white, probability)


def look(image: Tensor, asks: bool) -> Generator[Query, Tensor, Look]:
    """At a picture, (1, C, H, W). asks: the denoiser, too."""
    seen = _in_blocks(image)
    if not (asks and seen.features):
        return seen
    shown = parts(image)
    level = max(seen.in_blocks.sigma, WEAKEST)
    levels = level * (raised(image) if seen.kind == GREY else 1.0) * image.new_tensor(list(ASKED.values()))
    rows = shown.repeat(len(levels), 1, 1, 1)
    answer = yield Query(rows, levels.repeat_interleave(len(shown)), step=0, total=1, estimate=image)
    check_finite(answer, 0, "what the denoiser answers")
    features = dict(seen.features)
    for residual, told, name in zip((rows - answer).split(len(shown)), levels.tolist(), ASKED, strict=True):
        features |= residual_features(residual, told, name)
    return replace(seen, features=features, calls=1)


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


def _by_blocks(problem: Problem, seen: Look) -> Noise:
    """Without a denoiser."""
    found = seen.in_blocks
    white = found.neighbour < WHITE
    sigma = _level(problem, seen, white, found)
    certain = white and sigma > CERTAIN
    something = (certain or found.evidence > CLEAN_EVIDENCE) and sigma > CLEAN and found.fine > CLEAN_FINE
    return _noise(problem, seen, found.b8, sigma, white, probability=float(something))


def _noise(problem: Problem, seen: Look, b8: float, sigma: float, white: bool, probability: float) -> Noise:
    y, given = problem.measurement, problem.sigma_y > 0
    # a picture whose colours show less than its grey is read as a grey one; a given level tells nothing of channels
    one = seen.colourless or (seen.kind == GREY and not given) or (white and seen.found.alike > ALIKE)
    return Noise(sigma, b8, white, 1.0 if given else probability, seen.calls, raised(y) if one else 1.0)


def _probability(odds: float) -> float:
    share = (1 + math.tanh(odds / 2)) / 2
    return share if DOUBT < share < 1 - DOUBT else float(odds > 0)


def raised(image: Tensor) -> float:
    """The factor for noise that channels share, which a denoiser takes for the mean of several, and so for weaker."""
    return math.sqrt(image.shape[1])


def _level(problem: Problem, seen: Look, white: bool, found: CameraNoise) -> float:
    """The given one. That of white noise shows best in the finest band, whatever texture there is beside."""
    return problem.sigma_y or (estimate_sigma(problem.measurement, seen.photographed) if white else found.sigma)


def _in_blocks(image: Tensor) -> Look:
    if min(image.shape[-2:]) < SIDE:
        return Look(estimate_camera_noise(image), colourless=_is_grey(image))
    blocks = flat_blocks(image)
    found = camera_noise_of(blocks)
    if found.sigma == 0:
        return Look(found, colourless=_is_grey(image))
    kind = kind_of(blocks, found)
    if kind == GREY:
        found = found.unbounded
    features = block_features(blocks, found, kind)
    return Look(found, kind, features, photographed=blocks.photographed, colourless=blocks.colourless)


def _is_grey(image: Tensor) -> bool:
    return torch.equal(image, image[:, :1].expand_as(image))
