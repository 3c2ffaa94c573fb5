"""Half the colour, as JPEG files keep it: the mean of each 2 x 2 pixels, and back by a triangle over the neighbours."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from solvers.operators.dct import dct2d, idct2d

TAPS = (0.25, 0.75, 0.75, 0.25)
"""What one stored sample gives to the pixels around it, along either axis."""


def halve(x: Tensor) -> Tensor:
    """D x, the mean of disjoint 2 x 2 blocks; an odd edge is repeated. (N, C, H, W) to (N, C, ceil H/2, ceil W/2)."""
    return functional.avg_pool2d(pad_to_multiple(x, 2), 2)


def halve_adjoint(y: Tensor, height: int, width: int) -> Tensor:
    """D^T y."""
    x = functional.interpolate(y, scale_factor=2, mode="nearest") / 4
    if height % 2:
        x[..., -2, :] += x[..., -1, :]
    if width % 2:
        x[..., -2] += x[..., -1]
    return x[..., :height, :width]


def double(y: Tensor, height: int, width: int) -> Tensor:
    """U y: each pixel takes 9/16, 3/16, 3/16 and 1/16 of the four samples around it; edges are repeated."""
    return functional.interpolate(y, scale_factor=2, mode="bilinear", align_corners=False)[..., :height, :width]


def double_adjoint(x: Tensor) -> Tensor:
    """U^T x."""
    _, _, height, width = x.shape
    even = functional.pad(x, (0, width % 2, 0, height % 2))
    padded = functional.pad(even, (1, 1, 1, 1), mode="replicate").flatten(0, 1)[:, None]
    taps = torch.tensor(TAPS).to(x)
    return functional.conv2d(padded, torch.outer(taps, taps)[None, None], stride=2).unflatten(0, x.shape[:2])[:, :, 0]


def undouble(x: Tensor) -> Tensor:
    """U^+ x for even sides, by cosine transforms, which diagonalise U^T U.

    An odd side is first lengthened by the pixel that U would give there, which the last two tell.
    """
    x = _lengthen(_lengthen(x).transpose(-1, -2)).transpose(-1, -2)
    gain = [
        1.25 + 0.75 * torch.cos(torch.arange(n // 2, dtype=torch.float64) * (2 * math.pi / n)) for n in x.shape[-2:]
    ]
    return idct2d(dct2d(double_adjoint(x)).div_(torch.outer(*gain).to(x)))


def _lengthen(x: Tensor) -> Tensor:
    """To an even width."""
    width = x.shape[-1]
    if width % 2 == 0:
        return x
    last = x[..., -1:]
    return torch.cat([x, 1.5 * last - 0.5 * x[..., -2:-1] if width > 1 else last], dim=-1)


def pad_to_multiple(x: Tensor, rows: int, columns: int | None = None) -> Tensor:
    """Repeat the last row and column until the sides are multiples."""
    _, _, height, width = x.shape
    return functional.pad(x, (0, -width % (columns or rows), 0, -height % rows), mode="replicate")
