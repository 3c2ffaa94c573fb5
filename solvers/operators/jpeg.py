"""JPEG: the measurement is the image as it comes back from a file of that format."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional

from solvers.operators.base import OperatorError, Shape
from solvers.operators.chroma import double, double_adjoint, halve, halve_adjoint, pad_to_multiple, undouble
from solvers.operators.quantise import nearest_rounded

# fmt: off
LUMINANCE = (
    16, 11, 10, 16,  24,  40,  51,  61,
    12, 12, 14, 19,  26,  58,  60,  55,
    14, 13, 16, 24,  40,  57,  69,  56,
    14, 17, 22, 29,  51,  87,  80,  62,
    18, 22, 37, 56,  68, 109, 103,  77,
    24, 35, 55, 64,  81, 104, 113,  92,
    49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103,  99,
)
"""Step of each coefficient of the brightness at quality 50 (ITU-T T.81, table K.1)."""
CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99,
    18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99,
    47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)
"""And of the two colours (table K.2)."""
# fmt: on
WEIGHTS = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))
"""Brightness, blueness and redness of red, green and blue (JFIF 1.02); the latter two are stored with 128 added."""
MARGIN = 0.25
"""`prox` keeps each coefficient to the middle half of what rounds to its level."""
SUBSAMPLINGS = ("4:2:0", "4:4:4")


@dataclass(frozen=True)
class Jpeg:
    """f(x) = decode(encode(x)): the bytes that libjpeg gives back for a file of a quality of 1 to 100.

    Three channels are red, green and blue, one is grey. Sides need not be multiples of anything. The same to the byte
    but for one or two levels here and there, and for blocks with a coefficient that lies in the very middle between
    two of its levels: on three photographs of 75 to 208 pixels a side, at seven qualities from 10 to 100, the mean
    difference is 0.002 to 0.04 levels. Pictures narrower than five pixels differ, as libjpeg repeats their colours.

    Data step: f is constant between jumps, so its slope is that of the transform without rounding. `prox` does not use
    it. A coefficient lies within half a step of what was stored, and v is moved to the nearest point where all do, or
    where the objective has it for a large rho. With 4:4:4 that is a projection in orthonormal coordinates of the three
    planes; 4:2:0 stores the mean of 2 x 2 colours, which fixes these means only. With a denoiser in the loop of
    algorithms.md 11.2 (four photographs of 64 x 64, 4:2:0, quality 10 / 30 / 70, PSNR in dB): the file itself has
    24.08 / 27.35 / 31.16; ten calls with the whole interval give 24.45 / 27.64 / 31.12 and with its middle half
    24.99 / 28.46 / 32.02. Twelve calls with a straight-through step that is told the true error of the file give
    24.74 / 28.18 / 31.71, with a fixed small rho 23.96 / 27.34 / 30.60. On four training photographs margins of 0.15,
    0.25, 0.35 and 0.5 give 26.07, 26.11, 26.13 and 26.10 at quality 10, and are as close at 30 and 70.
    """

    input_shape: Shape
    quality: int
    subsampling: str = "4:2:0"

    def __post_init__(self) -> None:
        if self.quality not in range(1, 101):
            raise OperatorError(f"quality {self.quality} is not offered; there are 1 to 100")
        if self.subsampling not in SUBSAMPLINGS:
            raise OperatorError(f"unknown subsampling {self.subsampling!r}; there are {', '.join(SUBSAMPLINGS)}")
        if self.input_shape[0] not in (1, 3):
            raise OperatorError(f"JPEG files hold 1 or 3 channels, not {self.input_shape[0]}")

    @property
    def output_shape(self) -> Shape:
        return self.input_shape

    @property
    def halves(self) -> bool:
        """Whether the colours are kept at half the size."""
        return self.subsampling == "4:2:0" and self.input_shape[0] == 3

    @cached_property
    def steps(self) -> tuple[Tensor, ...]:
        """Of the brightness and, if there are any, the colours: (8, 8) float64 each."""
        scale = 5000 // self.quality if self.quality < 50 else 200 - 2 * self.quality
        tables = [LUMINANCE] if self.input_shape[0] == 1 else [LUMINANCE, CHROMINANCE]
        return tuple(((torch.tensor(t) * scale + 50) // 100).clamp(1, 255).double().reshape(8, 8) for t in tables)

    def forward(self, x: Tensor) -> Tensor:
        """What libjpeg's integer arithmetic gives, but for the last bit of its cosine transform.

        In float64, as a sum in another order may round to another level.
        """
        _, _, height, width = x.shape
        stored = zip(self._stored(_to_bytes(x)), (step.to(x.device) for step in self.steps), strict=True)
        planes = [_round(_pixels(step * _levels(p, step), p.shape)).clamp_(-128, 127) for p, step in stored]
        if self.halves:
            colours = planes[1][..., : (width + 1) // 2]
            planes[1] = (double(colours, height, width) + _dither(width, 1 / 2, 7 / 16).to(planes[1])).floor_()
        return _to_values(_round(_to_rgb(torch.cat(planes, dim=1))), x)

    def pull_back(self, x: Tensor, r: Tensor) -> Tensor:
        """Straight through all rounding: what is left is the identity, with the colours halved and doubled again."""
        if not self.halves:
            return r.clone()
        _, _, height, width = x.shape
        brightness, colours = _mix(_INVERSE.T, r).split([1, 2], dim=1)
        return _mix(_FORWARD.T, torch.cat([brightness, halve_adjoint(double_adjoint(colours), height, width)], dim=1))

    def start(self, y: Tensor) -> Tensor:
        return y.clone()

    def prox(self, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """v with each coefficient moved to where the objective is least, over its levels; v where that does not pay."""
        of_y, of_v = self._planes(_to_bytes(y), undouble), self._planes(_to_bytes(v), halve)
        moves = [self._move(*planes, rho) for planes in zip(of_y, of_v, self.steps, strict=True)]
        if self.halves:
            moves[1] = functional.interpolate(moves[1], scale_factor=2)[..., : v.shape[-2], : v.shape[-1]]
        x = v + (_to_rgb(torch.cat(moves, dim=1)) / 127.5).to(v)
        pays = self._objective(x, y, v, rho) <= self._objective(v, y, v, rho)
        return torch.where(pays[:, None, None, None], x, v)

    def _move(self, of_y: Tensor, of_v: Tensor, step: Tensor, rho: float) -> Tensor:
        step = step.to(of_y.device)
        a, b = _coefficients(of_y) / step, _coefficients(of_v) / step
        return _pixels((nearest_rounded(a, b, rho, margin=MARGIN) - b) * step, of_v.shape)

    def _objective(self, x: Tensor, y: Tensor, v: Tensor, rho: float) -> Tensor:
        """Of each row, twice."""
        return (self.forward(x) - y).square_().flatten(1).sum(1) + rho * (x - v).square_().flatten(1).sum(1)

    def _planes(self, pixels: Tensor, shrink: Callable[[Tensor], Tensor]) -> list[Tensor]:
        """Brightness (N, 1, H, W) and, if there are any, the colours (N, 2, h, w), nothing rounded."""
        if pixels.shape[1] == 1:
            return [pixels]
        brightness, colours = _to_ycc(pixels).split([1, 2], dim=1)
        return [brightness, shrink(colours) if self.halves else colours]

    def _stored(self, pixels: Tensor) -> list[Tensor]:
        """The same in whole numbers, as the encoder transforms them."""
        pixels = _round(pixels).clamp_(-128, 127)
        if pixels.shape[1] == 1:
            return [pixels]
        brightness, colours = _to_ycc(pixels).split([1, 2], dim=1)
        brightness, colours = _round(brightness), _round(colours - 2**-16)  # libjpeg rounds halves of colours down
        if self.halves:
            colours = halve(pad_to_multiple(colours, 2, 16))  # columns are completed before the averaging, rows after
            colours = (colours + _dither(colours.shape[-1], 1 / 4, 1 / 2).to(colours)).floor_()
        return [brightness, colours]


_FORWARD = torch.tensor(WEIGHTS, dtype=torch.float64).mul_(2**16).round_().div_(2**16)  # as libjpeg has them
_INVERSE = torch.linalg.inv(_FORWARD)

_COSINES = torch.outer(torch.arange(8.0, dtype=torch.float64), torch.arange(8) + 0.5).mul_(math.pi / 8).cos_().div_(2)
_COSINES[0] = math.sqrt(1 / 8)
"""The orthonormal cosine transform of eight values."""


def _mix(matrix: Tensor, x: Tensor) -> Tensor:
    """Of the channels."""
    return torch.einsum("kc,nchw->nkhw", matrix.to(x), x)


def _to_ycc(x: Tensor) -> Tensor:
    return _mix(_FORWARD, x)


def _to_rgb(x: Tensor) -> Tensor:
    return x if x.shape[1] == 1 else _mix(_INVERSE, x)


def _to_bytes(x: Tensor) -> Tensor:
    """0 to 255 less 128, not rounded, in float64."""
    return x.double().add(1).mul_(127.5).sub_(128)


def _to_values(pixels: Tensor, like: Tensor) -> Tensor:
    return pixels.clamp(-128, 127).add_(128).div_(127.5).sub_(1).to(like)


def _round(x: Tensor) -> Tensor:
    """Halves go up, also those that the transform misses by an error of rounding."""
    return (x + (0.5 + 1e-9)).floor_()


def _dither(width: int, even: float, odd: float) -> Tensor:
    """What libjpeg adds to even and odd columns before it drops the fraction of a mean."""
    return torch.tensor([even, odd], dtype=torch.float64).repeat(width // 2 + 1)[:width]


def _coefficients(plane: Tensor) -> Tensor:
    """The cosine transform of each block: (N, C, H, W) to (N, C, ceil H/8, ceil W/8, 8, 8)."""
    cosines = _COSINES.to(plane.device)
    return cosines @ _blocks(plane) @ cosines.T


def _pixels(coefficients: Tensor, shape: torch.Size) -> Tensor:
    """The inverse of `_coefficients`, without what completed the blocks."""
    cosines = _COSINES.to(coefficients.device)
    plane = (cosines.T @ coefficients @ cosines).transpose(-3, -2).flatten(-2).flatten(-3, -2)
    return plane[..., : shape[-2], : shape[-1]]


def _levels(plane: Tensor, step: Tensor) -> Tensor:
    """Of each coefficient the nearest multiple of its step, halves outwards.

    libjpeg rounds rows, transformed, to 1 / (4 sqrt 8) and then coefficients to 1 / 8: what lies near the middle
    between two levels may fall to the farther one.
    """
    cosines = math.sqrt(8) * _COSINES.to(plane.device)
    rows = _round(4 * (_blocks(plane) @ cosines.T))
    eighths = _round(cosines @ rows / 4)
    return ((eighths.abs() + 4 * step) / (8 * step)).floor_().copysign_(eighths)


def _blocks(plane: Tensor) -> Tensor:
    """(N, C, ceil H/8, ceil W/8, 8, 8)."""
    return pad_to_multiple(plane, 8).unflatten(-1, (-1, 8)).unflatten(-3, (-1, 8)).transpose(-3, -2)
