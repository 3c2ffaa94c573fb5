"""Weights on disk: local safetensors, which cannot hold code, read only after they have been compared.

In this order, so that a foreign or damaged file costs little: its size against the parameters that the configuration
asks for, its SHA-256 (streamed), the names and shapes of its header, and only then the values.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor

from priors.manifest import MANIFEST, PriorError

WEIGHTS = "diffusion_pytorch_model.safetensors"
MAX_HEADER = 100_000_000
"""Bytes; what safetensors itself accepts."""
MAX_WIDTH = 8
"""Bytes of the widest number, a float64."""
FORMER_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Parts of an attention block as diffusers named them until 2023, and as many published files still do."""


def read_weights(path: Path, digest: str, expected: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The weights of the prior `name` in float32.

    digest: the SHA-256 that the file must have. expected: a tensor by name for each weight, of which only the shape
    matters; those of a network on the meta device take no memory. Raises PriorError for a file that cannot be read or
    is not exactly this, and for values that are no finite floating-point numbers.
    """
    _check_size(path, expected, name)
    _check_digest(path, digest, name)
    try:
        with safe_open(path, framework="pt") as file:
            keys = file.keys()
            own = {_current_name(key, expected): key for key in keys}
            if len(own) < len(keys):
                raise PriorError(f"prior {name}: {path.name} has a weight under its current and its former name")
            shapes = {key: tuple(file.get_slice(former).get_shape()) for key, former in own.items()}
            _check_header(shapes, expected, path, name)
            return {key: _finite(file.get_tensor(own[key]), key, name) for key in expected}
    except SafetensorError as error:
        raise PriorError(f"prior {name}: {path.name} is damaged: {error}") from error


def _current_name(key: str, expected: Mapping[str, Tensor]) -> str:
    """`key`, or where nothing of this name is expected, what such a weight is called today."""
    block, _, kind = key.rpartition(".")
    block, _, part = block.rpartition(".")
    return key if key in expected or part not in FORMER_NAMES else f"{block}.{FORMER_NAMES[part]}.{kind}"


def _check_size(path: Path, expected: Mapping[str, Tensor], name: str) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PriorError(f"prior {name}: {path.name} cannot be read: {error.strerror}") from error
    parameters = sum(value.numel() for value in expected.values())
    if size > MAX_WIDTH * parameters + MAX_HEADER:
        raise PriorError(f"prior {name}: {path.name} has {size} bytes, too many for a network of {parameters} numbers")


def _check_digest(path: Path, digest: str, name: str) -> None:
    found = file_digest(path, name)
    if found != digest:
        raise PriorError(f"prior {name}: {path.name} has the SHA-256 {found[:12]}.., {MANIFEST} says {digest[:12]}..")


def file_digest(path: Path, name: str) -> str:
    """SHA-256 of a file of the prior `name`, streamed. Raises PriorError, also for a device or a pipe."""
    if path.exists() and not path.is_file():
        raise PriorError(f"prior {name}: {path.name} is no file")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PriorError(f"prior {name}: {path.name} cannot be read: {error.strerror}") from error


def _check_header(shapes: Mapping[str, tuple[int, ...]], expected: Mapping[str, Tensor], path: Path, name: str) -> None:
    """Equal names and shapes; with them the sizes agree too, as a safetensors file has no gaps and no overlaps."""
    missing, unexpected = sorted(expected.keys() - shapes.keys()), sorted(shapes.keys() - expected.keys())
    if missing or unexpected:
        raise PriorError(f"prior {name}: {path.name} lacks {missing[:3]} and has unexpected {unexpected[:3]}")
    for key, shape in shapes.items():
        if shape != tuple(expected[key].shape):
            raise PriorError(
                f"prior {name}: the weight {key} has the shape {shape} instead of {tuple(expected[key].shape)}"
            )


def _finite(value: Tensor, key: str, name: str) -> Tensor:
    """In float32, which may not overflow either."""
    single = value.float()
    if not value.is_floating_point() or not single.isfinite().all():
        raise PriorError(f"prior {name}: the weight {key} holds values that are not finite numbers")
    return single
