"""Images of any size through a network of fixed frames: pad by reflection, cut into overlapping tiles, blend.

    grid = plan_tiles(height, width, sizes=(64, 128, 256), multiple_of=8)
    padded, blend = pad(x, grid), Blend(grid)
    for index in range(len(grid.origins)):
        blend.add(index, denoise(cut(padded, grid, index)))
    x0 = blend.result()

With P_i, which cuts tile i out, and its weights w_i that is D(x) = crop sum_i P_i^T w_i D_i(P_i pad(x)). The product of
the transposed Jacobian J with a picture v, which solvers that differentiate through D ask for, needs no more than those
of the tiles, J^T v = pad^T sum_i P_i^T J_i^T (w_i P_i crop^T v):

    window, fold = Window(grid), Fold(grid)
    for index in range(len(grid.origins)):
        fold.add(index, pull_back(cut(padded, grid, index), window.cut(v, index)))
    product = fold.result()

Tiles overlap by a quarter of their side or more and are blended with raised-cosine (Hann) weights, so that neither the
values nor their slope jump at a border. The weights are separable and sum to one along each side; where a pixel has one
tile only, its weight is exactly 1.

A grid without overlap that is shifted from call to call costs 1.0 to 1.2 pixels a pixel at 12 megapixels instead of
1.8, but leaves seams in denoising and super-resolution (bends across borders 2 to 15 % larger than in a full frame,
here below 1 %) and is up to 0.03 dB behind the full frame, here up to 0.004 dB: `python -m benchmarks.tiling`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class TileGrid:
    """Where the square tiles of one image lie. Sizes in pixels."""

    height: int
    width: int
    tile: int
    overlap: int
    """Neighbouring tiles share at least this many rows or columns."""
    align: int = 1
    """Tiles begin at multiples of this, which divides `tile`: a latent stands for the same pixels in each of them."""

    @property
    def padded_height(self) -> int:
        return self._padded(self.height)

    @property
    def padded_width(self) -> int:
        return self._padded(self.width)

    @cached_property
    def tops(self) -> tuple[int, ...]:
        return self._starts(self.padded_height)

    @cached_property
    def lefts(self) -> tuple[int, ...]:
        return self._starts(self.padded_width)

    @cached_property
    def origins(self) -> tuple[tuple[int, int], ...]:
        """(top, left) of every tile in the padded frame, row by row."""
        return tuple((top, left) for top in self.tops for left in self.lefts)

    @property
    def pixels(self) -> int:
        """What one pass over all tiles costs, in pixels."""
        return len(self.tops) * len(self.lefts) * self.tile**2

    def _padded(self, length: int) -> int:
        return max(self.tile, -(-length // self.align) * self.align)

    def _starts(self, padded: int) -> tuple[int, ...]:
        tile = self.tile // self.align
        overlap = min(-(-self.overlap // self.align), tile - 1)  # a tile of one unit shares none
        return tuple(self.align * start for start in _starts(padded // self.align, tile, overlap))


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """As few tiles as the overlap allows, spread evenly from one end of the padded side to the other."""
    free = length - tile
    intervals = -(-free // (tile - overlap))  # rounded up
    return tuple(round(free * i / intervals) for i in range(intervals + 1)) if intervals else (0,)


def plan_tiles(height: int, width: int, sizes: Sequence[int], multiple_of: int, align: int = 1) -> TileGrid:
    """The grid that costs the fewest pixels among the tile sizes; of equals, the one with the largest tiles.

    align: of the tiles' origins; divides `multiple_of`. Raises ValueError for a size that the network cannot take (not
    a multiple of `multiple_of`) and for an empty image.
    """
    if height < 1 or width < 1:
        raise ValueError(f"an image of {height} x {width} pixels has no tiles")
    if not sizes or any(size < 1 or size % multiple_of for size in sizes):
        raise ValueError(f"tile sizes {tuple(sizes)} are not all positive multiples of {multiple_of}")
    grids = [TileGrid(height, width, size, overlap=-(-size // 4), align=align) for size in sizes]
    return min(grids, key=lambda grid: (grid.pixels, -grid.tile))


def pad(x: Tensor, grid: TileGrid) -> Tensor:
    """Extend (N, C, H, W) to the padded frame at the bottom and right, reflecting as often as it takes."""
    height, width = x.shape[-2:]
    if (height, width) != (grid.height, grid.width):
        raise ValueError(f"the grid is for {grid.height} x {grid.width} pixels, the image has {height} x {width}")
    if (grid.padded_height, grid.padded_width) == (height, width):
        return x
    rows = _reflected(height, grid.padded_height).to(x.device)
    columns = _reflected(width, grid.padded_width).to(x.device)
    return x.index_select(-2, rows).index_select(-1, columns)


def _reflected(length: int, padded: int) -> Tensor:
    """Indices 0, 1, .., n-1, n-2, .., 1, 0, 1, ..: reflection without repeating the edge. torch's own stops at n-1."""
    period = max(1, 2 * (length - 1))
    position = torch.arange(padded) % period
    return torch.minimum(position, period - position) if length > 1 else torch.zeros(padded, dtype=torch.long)


def cut(x: Tensor, grid: TileGrid, index: int) -> Tensor:
    """Tile number `index` of a padded image: (N, C, tile, tile), a view."""
    top, left = grid.origins[index]
    return x[..., top : top + grid.tile, left : left + grid.tile]


class Window:
    """The weights of the tiles of a grid: separable, summing to one over the tiles of each pixel."""

    def __init__(self, grid: TileGrid):
        self.grid = grid
        self._rows = _weights(grid.tops, grid.padded_height, grid.tile)
        self._columns = _weights(grid.lefts, grid.padded_width, grid.tile)

    def of(self, index: int, like: Tensor) -> Tensor:
        """(tile, tile), the weights of tile number `index`, with the dtype and device of `like`."""
        row, column = divmod(index, len(self.grid.lefts))
        return torch.outer(self._rows[row], self._columns[column]).to(like)

    def cut(self, v: Tensor, index: int) -> Tensor:
        """Tile number `index` of (N, C, H, W) without padding, weighted: the adjoint of what a `Blend` does to it.

        (N, C, tile, tile), zero beyond the image: what the network says there is cropped.
        """
        part, tile = cut(v, self.grid, index), self.grid.tile
        return functional.pad(part, (0, tile - part.shape[-1], 0, tile - part.shape[-2])) * self.of(index, v)


def _weights(starts: tuple[int, ...], length: int, tile: int) -> Tensor:
    """One row a tile along one side: (tiles, tile) float64, summing to one over the tiles of each pixel."""
    hann = torch.sin(torch.pi * (torch.arange(tile, dtype=torch.float64) + 0.5) / tile) ** 2
    total = torch.zeros(length, dtype=torch.float64)
    for start in starts:
        total[start : start + tile] += hann
    return torch.stack([hann / total[start : start + tile] for start in starts])


class Blend:
    """Collects the denoised tiles of images in one buffer of their size; tiles may come in any order, each once."""

    def __init__(self, grid: TileGrid, rows: int = 1):
        """rows: images that are cut alike. Number `row * tiles + index` is tile `index` of one of them."""
        self._sum = _Sum(grid, rows)
        self._window = Window(grid)

    def add(self, number: int, tile: Tensor) -> None:
        """tile: (N, C, tile, tile), denoised. Raises ValueError for one that came before."""
        place = self._sum.place(number, tile)
        place.add_(tile * self._window.of(self._sum.index(number), tile))

    def result(self) -> Tensor:
        """(rows * N, C, H, W), without the padding. Raises ValueError while tiles are missing."""
        grid = self._sum.grid
        return self._sum.total()[..., : grid.height, : grid.width]


class Fold:
    """The same of the tiles of a vector-Jacobian product: they are added up as they are, and the padding folded back.

    The adjoint of cutting a padded image.
    """

    def __init__(self, grid: TileGrid, rows: int = 1):
        """rows: as for `Blend`."""
        self._sum = _Sum(grid, rows)

    def add(self, number: int, tile: Tensor) -> None:
        """tile: (N, C, tile, tile), what came back for a cotangent cut by `Window.cut`. Raises as `Blend.add`."""
        self._sum.place(number, tile).add_(tile)

    def result(self) -> Tensor:
        """(rows * N, C, H, W). Raises ValueError while tiles are missing."""
        grid = self._sum.grid
        return _folded(_folded(self._sum.total(), grid.width).mT, grid.height).mT


def _folded(padded: Tensor, length: int) -> Tensor:
    """The adjoint of `_reflected` along the last axis: what lies beyond the edge is added to what it mirrors."""
    if padded.shape[-1] == length:
        return padded
    period = max(1, 2 * (length - 1))  # there and back: 0, 1, .., n-1, then n-2, .., 1
    whole = functional.pad(padded, (0, -padded.shape[-1] % period)).unflatten(-1, (-1, period)).sum(-2)
    there, back = whole[..., :length], whole[..., length:].flip(-1)
    there[..., 1 : 1 + back.shape[-1]] += back
    return there


class _Sum:
    """The buffer of `Blend` and `Fold`, and which tiles have not come yet."""

    def __init__(self, grid: TileGrid, rows: int):
        self.grid = grid
        self._rows = rows
        self._missing = set(range(rows * len(grid.origins)))
        self._total: Tensor | None = None

    def index(self, number: int) -> int:
        return number % len(self.grid.origins)

    def place(self, number: int, tile: Tensor) -> Tensor:
        """The view that `tile` is to be added to, now."""
        if number not in self._missing:
            raise ValueError(f"tile {number} came twice or is not of this grid")
        if tile.shape[-2:] != (self.grid.tile, self.grid.tile):
            raise ValueError(f"tile {number} has {tuple(tile.shape)} pixels instead of {self.grid.tile} a side")
        count, channels = tile.shape[:2]
        if self._total is None:
            height, width = self.grid.padded_height, self.grid.padded_width
            self._total = tile.new_zeros(self._rows * count, channels, height, width)
        self._missing.remove(number)
        first = count * (number // len(self.grid.origins))
        return cut(self._total[first : first + count], self.grid, self.index(number))

    def total(self) -> Tensor:
        """(rows * N, C, padded height, padded width)."""
        if self._total is None or self._missing:
            raise ValueError(f"{len(self._missing)} tiles have not come yet")
        return self._total
