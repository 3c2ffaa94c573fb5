"""How much memory a prior will take, known from its files before it is loaded. Imports no torch: the API asks, too."""

import json
import math
import struct
from pathlib import Path

WEIGHTS = "diffusion_pytorch_model.safetensors"
MAX_HEADER = 100_000_000
"""Bytes; what safetensors itself accepts."""
BYTES_PER_NUMBER = 4
"""Weights are float32 in memory, whatever they are on disk."""


def footprint(folder: Path) -> int:
    """Bytes that the parameters and buffers of the prior in `folder` take on a device.

    Those of all its networks: an autoencoder beside the denoiser counts. What cannot be read counts nothing; who loads
    it hears what is wrong with it.
    """
    return BYTES_PER_NUMBER * sum(_numbers(path) for path in folder.rglob(WEIGHTS))


def _numbers(path: Path) -> int:
    """Numbers in a safetensors file, from its header: eight bytes of length, then JSON with each shape."""
    try:
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(min(length, MAX_HEADER)))
        return sum(math.prod(tensor["shape"]) for key, tensor in header.items() if key != "__metadata__")
    except (OSError, struct.error, ValueError, RecursionError, AttributeError, KeyError, TypeError):
        return 0
