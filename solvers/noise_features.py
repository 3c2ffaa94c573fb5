"""What a picture shows of its noise, as numbers: in its flat blocks, and in what a denoiser takes off."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from solvers.camera_noise import CameraNoise, directedness, unevenness
from solvers.flat_blocks import SIDE, FlatBlocks
from solvers.noise_level import haar

VERSION = 3
"""Of the features: weights that were fitted to others are of no use. To be raised with any change of them."""
LEAST = 1e-9
"""Of a variance whose logarithm is taken."""
LEVELS = 3
"""Of the Haar transform, down to means of 8 x 8 pixels."""
PLACE = 16
"""Side in pixels of the places whose energies are ranked."""
SHARES = (25, 50, 90)
LAGS = (1, 2, 3, 8)
"""In pixels. Over 8 of them most noise is hardly correlated any more."""
COLOUR, GREY = "colour", "grey"
"""Kinds of pictures, whose features differ."""
GREY_ALONE = 0.7
"""Excess from which on a picture is read as a grey one, by what its colours do not show: 9 % of the photographs of
simulated cameras have as much, 3 % of clean ones and a quarter of those whose noise is mostly in grey."""
PLANES = {COLOUR: {"red-blue": 1, "green": 2}, GREY: {"grey": 0}}
"""Whose bands are features, by kind: there is less texture in differences of colour."""


def kind_of(blocks: FlatBlocks, found: CameraNoise) -> str:
    return GREY if blocks.colourless or found.excess > GREY_ALONE else COLOUR


def block_features(blocks: FlatBlocks, found: CameraNoise, kind: str) -> dict[str, float]:
    """What the errors show in. Of a picture in which some noise was found."""
    flattest = blocks.colours[torch.cat(blocks.flattest)].unflatten(-1, (SIDE, SIDE))  # (n, C, 16, 16)
    lowered = (blocks.variances.clamp(min=LEAST) / blocks.read.clamp(min=LEAST)).log()
    features = {
        "one": 1.0,
        "level": math.log(found.sigma),
        "b8": math.log(found.b8),
        "diagonal": found.diagonal,
        "brightness": float(blocks.brightness.mean()),
        "lowered": float(lowered.mean()),
        "uneven": math.log(unevenness(flattest[:, 0])),
        "directed": math.log(directedness(flattest[:, 0])),
    }
    if kind == COLOUR:
        features["excess"] = found.excess
    for name, plane in PLANES[kind].items():
        features |= bands(name, flattest[:, plane : plane + 1])
    return features


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


def residual_features(residual: Tensor, level: float, name: str) -> dict[str, float]:
    """Of what a denoiser takes off that was told `level`, (N, C, H, W), parts of one picture. name: of the level.

    Noise is as strong everywhere and as correlated as the camera made it. What is taken off texture is uneven and of
    the finest scale.
    """
    energy = residual.square().mean(1, keepdim=True)
    place = min(PLACE, *residual.shape[-2:])
    ranked = functional.avg_pool2d(energy, place).flatten().quantile(residual.new_tensor(SHARES) / 100)
    total = max(float(energy.mean()), LEAST)
    varied = residual - residual.mean((2, 3), keepdim=True)
    power = max(float(varied.square().mean()), LEAST)
    return {
        f"{name} all": math.log(total / level**2) / 2,
        f"{name} grey": math.log(max(float(residual.mean(1).square().mean()), LEAST) / level**2) / 2,
        **{
            f"{name} {share} %": math.log(max(each, LEAST) / level**2) / 2
            for share, each in zip(SHARES, ranked.tolist(), strict=True)
        },
        **{f"{name} lag {lag}": (_at_lag(varied, lag, 0) + _at_lag(varied, 0, lag)) / 2 / power for lag in LAGS},
        f"{name} corner": _at_lag(varied, 1, 1) / power,
    }


def _at_lag(planes: Tensor, down: int, across: int) -> float:
    """Mean product of pixels that lie so far apart."""
    height, width = planes.shape[-2:]
    return float((planes[..., down:, across:] * planes[..., : height - down, : width - across]).mean())
