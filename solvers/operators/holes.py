"""Holes of a picture: (H, W) bool, True = known, as of `Mask`. Equal seeds give equal holes."""

import math

import torch
from torch import Tensor

from solvers.operators.base import OperatorError

REFERENCE_SIDE = 256
"""Shorter side of a picture on which a brush is 8 to 24 pixels wide; strokes grow with the picture."""


def random_pixels(height: int, width: int, missing: float, seed: int) -> Tensor:
    """Each pixel is lost with the probability `missing`."""
    _fraction(missing)
    return torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) >= missing


def free_form(height: int, width: int, missing: float = 0.25, seed: int = 0) -> Tensor:
    """Strokes of a round brush, each a chain of straight pieces, until the fraction `missing` of the pixels is lost."""
    _fraction(missing)
    rng = torch.Generator().manual_seed(seed)
    side = min(height, width)
    observed = torch.ones(height, width, dtype=torch.bool)
    lost, goal = 0, missing * height * width
    while lost < goal:
        radius = max(1.0, side * _between(8, 24, rng) / REFERENCE_SIDE) / 2
        y, x = _between(0, height - 1, rng), _between(0, width - 1, rng)
        for _ in range(int(_between(2, 6, rng))):
            turn, length = _between(0, 2 * math.pi, rng), side * _between(0.08, 0.25, rng)
            to_y, to_x = y + length * math.sin(turn), x + length * math.cos(turn)
            lost += _stroke(observed, (y, x), (to_y, to_x), radius)
            y, x = to_y, to_x
    return observed


def box(
    height: int, width: int, hole_height: int, hole_width: int, top: int | None = None, left: int | None = None
) -> Tensor:
    """One rectangle, in the middle unless `top` and `left`, its first lost row and column, say where.

    What of it lies beyond the picture is ignored. Raises OperatorError for a rectangle without pixels.
    """
    top = (height - hole_height) // 2 if top is None else top
    left = (width - hole_width) // 2 if left is None else left
    if min(hole_height, hole_width) < 1 or min(top, left) < 0 or top >= height or left >= width:
        raise OperatorError(f"{hole_height} x {hole_width} at ({top}, {left}) is no hole of {height} x {width} pixels")
    observed = torch.ones(height, width, dtype=torch.bool)
    observed[top : top + hole_height, left : left + hole_width] = False
    return observed


def _stroke(observed: Tensor, start: tuple[float, float], end: tuple[float, float], radius: float) -> int:
    """Lose the pixels within `radius` of the straight line; returns how many were known. Changes `observed`."""
    (y0, x0), (y1, x1) = start, end
    rows, columns = (
        torch.tensor(range(max(0, math.floor(min(a, b) - radius)), min(n, math.ceil(max(a, b) + radius) + 1)))
        for a, b, n in ((y0, y1, observed.shape[0]), (x0, x1, observed.shape[1]))
    )
    if not len(rows) or not len(columns):
        return 0  # beyond the picture
    down, right = rows[:, None] - y0, columns[None, :] - x0
    share = (down * (y1 - y0) + right * (x1 - x0)).div_((y1 - y0) ** 2 + (x1 - x0) ** 2).clamp_(0, 1)
    met = torch.hypot(down - share * (y1 - y0), right - share * (x1 - x0)) <= radius
    part = observed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    newly = int((part & met).sum())
    part.logical_and_(~met)
    return newly


def _between(low: float, high: float, rng: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=rng))


def _fraction(missing: float) -> None:
    if not 0 < missing < 1:
        raise OperatorError(f"the missing fraction is {missing}; it lies between 0 and 1")
