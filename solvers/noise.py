"""White noise that depends on (seed, step, draw) alone.

A job therefore meets the same noise alone, in any batch, on any device and after a restart.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

DRAWS_EACH = 16
"""Draws of a stream between two samples of one problem; those between are free for others."""


@dataclass(frozen=True)
class NoiseStream:
    """Counter-based standard normal noise."""

    seed: int

    def normal(self, step: int, like: Tensor, draw: int = 0) -> Tensor:
        """N(0, 1) in the shape, type and place of `like`, drawn in float32 on the CPU: every device gets the same."""
        noise = torch.randn(like.shape, generator=self.generator(step, draw))
        return noise.to(device=like.device, dtype=like.dtype)

    def generator(self, step: int, draw: int = 0) -> torch.Generator:
        """A generator seeded by the hash of (seed, step, draw), so that neighbouring seeds are unrelated."""
        digest = hashlib.blake2b(f"{self.seed}:{step}:{draw}".encode(), digest_size=8).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def normal_each(noise: NoiseStream, step: int, like: Tensor, numbers: range, draw: int = 0) -> Tensor:
    """White noise in the shape of `like`, a draw of its own for each sample of these numbers, side by side as rows.

    Sample k meets the same noise however many there are, and the first that of `noise` itself.
    """
    rows = like.chunk(len(numbers))
    return torch.cat([noise.normal(step, row, draw + DRAWS_EACH * k) for k, row in zip(numbers, rows, strict=True)])
