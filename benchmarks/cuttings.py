"""Ways to send a picture through a network piece by piece, for `benchmarks.tiling` to compare."""

from collections.abc import Callable
from fractions import Fraction

import torch
from torch import Tensor

from priors.base import Prior
from priors.tiling import Blend, TileGrid, cut, pad
from service.engine.engine import BATCH_PIXELS
from solvers.noise import NoiseStream

OFFSET_DRAW = 1
"""Of the noise stream, for the offsets of grids; the solver's own noise is draw 0."""

Network = Callable[[Tensor], Tensor]
"""Pieces (n, C, h, w) to their denoised selves."""
Borders = tuple[Tensor, Tensor]
"""(H,) and (W,) bool: the rows and the columns on both sides of every border of tiles."""
Cutting = Callable[[Tensor, Network, torch.Generator], tuple[Tensor, Borders]]
"""Cuts x (1, C, H, W), sends it through the network and puts it together again."""


def full_frame(x: Tensor, network: Network, generator: torch.Generator) -> tuple[Tensor, Borders]:
    return network(x), (both_sides([], x.shape[-2]), both_sides([], x.shape[-1]))


def hann(
    x: Tensor, network: Network, generator: torch.Generator, tile: int, overlap: Fraction
) -> tuple[Tensor, Borders]:
    """`priors.tiling`, with any overlap."""
    height, width = x.shape[-2:]
    grid = TileGrid(height, width, tile, overlap=int(overlap * tile))
    padded, blend = pad(x, grid), Blend(grid)
    tiles = network(torch.cat([cut(padded, grid, index) for index in range(len(grid.origins))]))
    for index, answer in enumerate(tiles.split(1)):
        blend.add(index, answer)
    rows, columns = ([edge for start in starts for edge in (start, start + tile)] for starts in (grid.tops, grid.lefts))
    return blend.result(), (both_sides(rows, height), both_sides(columns, width))


def shifted(x: Tensor, network: Network, generator: torch.Generator, tile: int) -> tuple[Tensor, Borders]:
    """Tiles side by side from an offset that `generator` draws; reflection fills those that stand over the edge."""
    channels, height, width = x.shape[-3:]
    top, left = torch.randint(tile, (2,), generator=generator).tolist()
    down, across = -(-(top + height) // tile), -(-(left + width) // tile)  # tiles in a column and in a row
    frame = x.index_select(-2, reflected(height, -top, down * tile))
    frame = frame.index_select(-1, reflected(width, -left, across * tile))
    tiles = frame.reshape(channels, down, tile, across, tile).permute(1, 3, 0, 2, 4).flatten(0, 1)  # (n, C, t, t)
    answer = network(tiles).reshape(down, across, channels, tile, tile).permute(2, 0, 3, 1, 4)
    frame = answer.reshape(1, channels, down * tile, across * tile)
    rows, columns = ([i * tile - first for i in range(n)] for n, first in ((down, top), (across, left)))
    inside = frame[..., top : top + height, left : left + width]
    return inside, (both_sides(rows, height), both_sides(columns, width))


def reflected(length: int, start: int, count: int) -> Tensor:
    """`count` indices from `start` on, which may be negative, reflected at both ends without repeating them."""
    period = 2 * (length - 1)
    position = (torch.arange(count) + start) % period
    return torch.minimum(position, period - position)


def both_sides(edges: list[int], length: int) -> Tensor:
    """(length,) bool: True for i where an edge, the first of a tile, is i or i + 1."""
    touching = torch.zeros(length, dtype=torch.bool)
    for edge in edges:
        if 0 < edge < length:
            touching[edge - 1 : edge + 1] = True
    return touching


class CutPrior:
    """A prior whose queries are cut, and what that took."""

    def __init__(self, prior: Prior, cutting: Cutting, seed: int):
        self.info = prior.info
        self._prior, self._cutting, self._noise = prior, cutting, NoiseStream(seed)
        self.calls = 0
        self.pixels = 0
        """Of all pieces so far."""
        self.borders: Borders | None = None
        """Of the last call."""

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        def network(pieces: Tensor) -> Tensor:
            area = pieces.shape[-2] * pieces.shape[-1]
            self.pixels += len(pieces) * area
            batches = pieces.split(max(1, BATCH_PIXELS["cpu"] // area))
            return torch.cat([self._prior.denoise(batch, sigma.expand(len(batch))) for batch in batches])

        x0, self.borders = self._cutting(x, network, self._noise.generator(self.calls, OFFSET_DRAW))
        self.calls += 1
        return x0


def cost(cutting: Cutting, height: int, width: int, calls: int = 4) -> float:
    """Pixels through the network for each pixel of a picture and call."""
    pixels = 0

    def network(pieces: Tensor) -> Tensor:
        nonlocal pixels
        pixels += pieces[:, 0].numel()
        return pieces

    for call in range(calls):
        cutting(torch.zeros(1, 1, height, width), network, NoiseStream(0).generator(call, OFFSET_DRAW))
    return pixels / calls / (height * width)
