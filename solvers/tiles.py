"""A picture cut into overlapping tiles and put together again, where a solver itself must not see all of it at once.

What a denoiser sees is tiled elsewhere: here it is the fit of whole networks to a picture, tile after tile.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Tile:
    """A part of a picture. Its weights and those of its neighbours sum to one in every pixel."""

    rows: slice
    columns: slice
    weights: Tensor = field(repr=False)
    """(h, w) float64, raised-cosine ramps where tiles overlap."""

    def of(self, x: Tensor) -> Tensor:
        """The part of (..., H, W), a view."""
        return x[..., self.rows, self.columns]


def tiles(height: int, width: int, most: int, overlap: int) -> list[Tile]:
    """Tiles of at most `most` pixels a side, row by row, sharing `overlap` pixels or more with each neighbour.

    Raises ValueError unless 0 <= overlap < most.
    """
    if not 0 <= overlap < most:
        raise ValueError(f"tiles of {most} pixels cannot share {overlap}")
    down, across = _parts(height, most, overlap), _parts(width, most, overlap)
    return [Tile(rows, columns, torch.outer(a, b)) for rows, a in down for columns, b in across]


def blend(parts: Sequence[tuple[Tile, Tensor]], like: Tensor) -> Tensor:
    """The weighted sum of (..., h, w), one for each tile, in the shape, type and place of `like`."""
    total = torch.zeros_like(like)
    for tile, part in parts:
        tile.of(total).add_(part * tile.weights.to(like))
    return total


def _parts(length: int, most: int, overlap: int) -> list[tuple[slice, Tensor]]:
    """Slices of one side, evenly spread, each with its weights along that side."""
    size = min(length, most)
    gaps = math.ceil((length - size) / (most - overlap))
    starts = [round((length - size) * i / gaps) for i in range(gaps + 1)] if gaps else [0]
    hann = torch.sin(torch.pi * (torch.arange(size, dtype=torch.float64) + 0.5) / size) ** 2
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + size] += hann
    return [(slice(start, start + size), hann / total[start : start + size]) for start in starts]
