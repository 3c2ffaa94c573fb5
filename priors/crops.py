"""Random training crops from a folder of photographs."""

import random
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff"}


def photographs(folder: Path) -> list[Path]:
    """Every picture below `folder`, in a fixed order."""
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


class Crops:
    """Square crops of photographs held in memory, drawn anti-aliased at a random scale, flipped and turned.

    The stream of crops is a function of (seed, index) alone, so a resumed training sees what an unbroken one sees.
    """

    def __init__(self, paths: list[Path], min_scale: float, seed: int):
        self.images = [Image.open(path).convert("RGB") for path in paths]
        # Large photographs would be drawn as rarely as small ones: choose by the area instead.
        self.weights = np.cumsum([float(image.width * image.height) ** 0.5 for image in self.images])
        self.min_scale = min_scale
        self.seed = seed

    def batch(self, index: int, count: int, size: int) -> Tensor:
        """Batch number `index`: (count, 3, size, size) float32 in [-1, 1]."""
        rng = random.Random(f"{self.seed}:{index}")
        crops = np.stack([self._crop(rng, size) for _ in range(count)])  # (count, size, size, 3) uint8
        return torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 127.5 - 1

    def _crop(self, rng: random.Random, size: int) -> np.ndarray:
        image = self.images[np.searchsorted(self.weights, rng.random() * self.weights[-1])]
        largest = min(image.width, image.height)
        # log-uniform scale in [min_scale, 1]; a small photograph is taken at the scale that still fills the crop
        scale = min(1.0, max(self.min_scale ** rng.random(), size / largest))
        side = min(largest, round(size / scale))
        left, top = rng.randint(0, image.width - side), rng.randint(0, image.height - side)
        box = (left, top, left + side, top + side)
        # reducing_gap lets Pillow average whole blocks first: still anti-aliased, and quick
        pixels = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0))
        pixels = np.rot90(pixels, rng.randrange(4))
        return pixels[:, ::-1] if rng.random() < 0.5 else pixels
