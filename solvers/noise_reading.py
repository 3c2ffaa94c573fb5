"""What the estimate of `camera_noise` is off by, as simulated cameras show it.

Texture raises the level that is read from the flattest blocks, and the correlation more so; both leave traces: colours
differ less than grey does, blocks are uneven, directions stand out, coarse bands hold more than fine ones. Two linear
functions of such features say how far ln sigma and ln(sigma^2 b8) are off. Their weights are a ridge regression over
training photographs behind simulated cameras, whose noise is known: `python -m benchmarks.noise_reading`.
"""

import math
from dataclasses import replace

import torch
from torch import Tensor

from solvers.camera_noise import (
    CameraNoise,
    camera_noise_of,
    directedness,
    estimate_camera_noise,
    is_colourless,
    unevenness,
)
from solvers.flat_blocks import SIDE, FlatBlocks, flat_blocks
from solvers.noise_level import haar

WEIGHTS = {
    "one": (0.3929, 1.2818),
    "level": (0.8190, 2.2330),
    "b8": (0.1838, 1.3786),
    "diagonal": (0.8302, -0.5994),
    "brightness": (0.0221, 0.2452),
    "lowered": (-0.5114, -1.4035),
    "uneven": (0.0962, 0.8059),
    "directed": (0.2346, 0.7427),
    "red-blue 1 straight": (-0.0454, -0.0307),
    "red-blue 1 diagonal": (0.0137, 0.0881),
    "red-blue 2 straight": (-0.0218, -0.1113),
    "red-blue 2 diagonal": (0.0198, -0.1302),
    "red-blue 3 straight": (-0.0786, -0.1906),
    "red-blue 3 diagonal": (-0.0275, -0.1718),
    "red-blue mean": (-0.0470, -0.1050),
    "green 1 straight": (0.1992, 0.4674),
    "green 1 diagonal": (-0.0873, -0.2059),
    "green 2 straight": (-0.1824, -0.1421),
    "green 2 diagonal": (0.1065, 0.3780),
    "green 3 straight": (-0.1315, -0.5607),
    "green 3 diagonal": (-0.0622, -0.2188),
    "green mean": (-0.0354, -0.1775),
}
"""Of every feature, for the errors of ln sigma and of ln(sigma^2 b8)."""
MOST = (0.7, 2.0)
"""Largest corrections of either; beyond it a picture is like none that the weights were fitted to."""
LEAST = 1e-9
"""Of a variance whose logarithm is taken."""
LEVELS = 3
"""Of the Haar transform, down to means of 8 x 8 pixels."""


def read_camera_noise(image: Tensor) -> CameraNoise:
    """`estimate_camera_noise` with its level and b8 put right; a grey or tiny picture's are left as they are."""
    if min(image.shape[-2:]) < SIDE:
        return estimate_camera_noise(image)
    blocks = flat_blocks(image)
    found = camera_noise_of(blocks)
    if found.sigma == 0 or is_colourless(blocks):
        return found
    seen = features(blocks, found)
    level, energy = (
        min(max(sum(WEIGHTS[name][which] * value for name, value in seen.items()), -most), most)
        for which, most in enumerate(MOST)
    )
    sigma = found.sigma * math.exp(-level)
    return replace(found, sigma=sigma, b8=max(1.0, found.b8 * math.exp(2 * level - energy)))


def features(blocks: FlatBlocks, found: CameraNoise) -> dict[str, float]:
    """What the errors show in. Of a picture with colours, in which some noise was found."""
    flattest = blocks.colours[torch.cat(blocks.flattest)].unflatten(-1, (SIDE, SIDE))  # (n, 3, 16, 16)
    lowered = (blocks.variances.clamp(min=LEAST) / blocks.read.clamp(min=LEAST)).log()
    return {
        "one": 1.0,
        "level": math.log(found.sigma),
        "b8": math.log(found.b8),
        "diagonal": found.diagonal,
        "brightness": float(blocks.brightness.mean()),
        "lowered": float(lowered.mean()),
        "uneven": math.log(unevenness(flattest[:, 0])),
        "directed": math.log(directedness(flattest[:, 0])),
        **bands("red-blue", flattest[:, 1:2]),
        **bands("green", flattest[:, 2:]),
    }


def bands(name: str, plane: Tensor) -> dict[str, float]:
    """ln of the variances of the Haar bands of `plane`, (n, 1, 16, 16), and of what is left of it at last."""
    found = {}
    for level in range(1, LEVELS + 1):
        plane, horizontal, vertical, diagonal = haar(plane)
        found[f"{name} {level} straight"] = _ln((horizontal.square() + vertical.square()) / 2)
        found[f"{name} {level} diagonal"] = _ln(diagonal.square())
    return found | {f"{name} mean": _ln(plane.square())}


def _ln(squares: Tensor) -> float:
    return math.log(max(float(squares.mean()), LEAST))
