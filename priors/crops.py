"""Random training crops of photographs."""

import random
from collections.abc import Sequence
from math import ceil

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from priors.photographs import Decoded, NoPhotograph, Photograph

LANCZOS_RADIUS = 3
"""Reach of the filter, in pixels of the smaller picture."""


class Crops:
    """Square crops of photographs, drawn anti-aliased at a random scale, flipped and turned.

    A crop is a function of (seed, index, row) alone: a resumed training sees what an unbroken one sees, and several
    processes can share the rows of a batch.
    """

    def __init__(
        self,
        photographs: Sequence[Photograph],
        min_scale: float,
        seed: int,
        symmetries: str = "dihedral",
        capacity: int = 4 * 10**9,
    ):
        """min_scale: photographs are shrunk by a factor log-uniform in [min_scale, 1]. symmetries: one of those of
        `priors.manifest`. capacity: bytes of decoded photographs that are held."""
        self.min_scale = min_scale
        self.seed = seed
        self.symmetries = symmetries
        self._sides = np.array([min(photograph.width, photograph.height) for photograph in photographs])
        # Drawn as often as they are wide: small photographs are not drawn as often as large ones, nor hardly ever.
        self._widths = np.sqrt([float(photograph.width * photograph.height) for photograph in photographs])
        self._pixels = Decoded([photograph.path for photograph in photographs], capacity)

    def batch(self, index: int, rows: Sequence[int], size: int) -> Tensor:
        """These rows of batch number `index`: (len(rows), 3, size, size) float32 in [-1, 1].

        Photographs with a side below `size` are not drawn: enlarged ones would teach that sharp edges are improbable.
        Raises NoPhotograph where none can be drawn.
        """
        fitting = self._sides >= size
        chances = np.cumsum(np.where(fitting, self._widths, 0.0))
        crops = np.stack([self._crop(random.Random(f"{self.seed}:{index}:{row}"), size, chances) for row in rows])
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _crop(self, rng: random.Random, size: int, chances: np.ndarray) -> np.ndarray:
        """(size, size, 3) uint8."""
        pixels = self._photograph(int(np.searchsorted(chances, rng.random() * chances[-1], side="right")), size)
        height, width, _ = pixels.shape
        # the scale of a small photograph is the one at which the whole of it fills the crop, or more
        scale = max(self.min_scale ** rng.random(), size / min(height, width))
        side = min(height, width, round(size / scale))
        left, top = rng.randint(0, width - side), rng.randint(0, height - side)
        crop, turns, mirrored = shrink(pixels, left, top, side, size), rng.randrange(4), rng.random() < 0.5
        if self.symmetries == "dihedral":
            crop = np.rot90(crop, turns)
        return crop[:, ::-1] if mirrored and self.symmetries != "none" else crop

    def _photograph(self, first: int, size: int) -> np.ndarray:
        """The pixels of photograph `first`; where it cannot be decoded, of the next one that can be drawn."""
        count = len(self._sides)
        for number in range(first, first + count):
            pixels = self._pixels[number % count] if self._sides[number % count] >= size else None
            if pixels is not None:
                return pixels
        raise NoPhotograph(f"there is no readable photograph of at least {size} x {size} px")


def shrink(pixels: np.ndarray, left: int, top: int, side: int, size: int) -> np.ndarray:
    """The square of `side` pixels at (left, top) of (H, W, 3) uint8, shrunk with a Lanczos filter to `size`."""
    margin = LANCZOS_RADIUS * ceil(side / size) + 1  # what the filter reaches of the picture around the square
    x, y = max(0, left - margin), max(0, top - margin)
    part = Image.fromarray(np.ascontiguousarray(pixels[y : top + side + margin, x : left + side + margin]))
    box = (left - x, top - y, left - x + side, top - y + side)
    # reducing_gap lets Pillow average whole blocks first: still anti-aliased, and quick
    return np.asarray(part.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))
