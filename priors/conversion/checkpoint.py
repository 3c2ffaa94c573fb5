"""Reading foreign checkpoints as what they should be: named tensors. Whatever else is in a file is refused.

Pickles are read by torch's weights-only unpickler, which builds tensors and plain containers and nothing else: a file
that wants to run code is refused before any of it has run.
"""

import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from priors.manifest import PriorError

SAFE = ".safetensors"
PICKLES = (".pt", ".pth", ".ckpt", ".bin")
MAX_BYTES = 16 * 2**30
"""Of a file; the largest known checkpoint of a pixel-space prior has 2.2 GB."""
NESTS = ("ema", "ema_state_dict", "params_ema", "model_ema", "state_dict", "model", "params", "net")
"""Where training programs put the weights beside their own state, best first: averaged weights make better priors."""
PLAIN = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int32, torch.int64)
DAMAGED = (
    pickle.UnpicklingError,
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
)
"""What torch and safetensors raise for files that are damaged or no checkpoints."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The weights in the file at `path`, by name, in its own dtype, on the CPU.

    path: a safetensors file, or what `torch.save` made of a state dict: plain, of `nn.Parameter`, under a `module.`
    prefix, or beside other things under one of `NESTS`. Raises PriorError for everything else, and for values that are
    not finite.
    """
    _check_size(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a pickle protocol that is not torch's own, of a TorchScript archive
        content = _read_safetensors(path) if path.suffix == SAFE else _read_pickle(path)
    state = _find_state(content, path)
    _check_values(state, path)
    prefix = "module." if all(key.startswith("module.") for key in state) else ""  # what DataParallel adds
    return {key.removeprefix(prefix): value.detach() for key, value in state.items()}


def _check_size(path: Path) -> None:
    if path.suffix not in (SAFE, *PICKLES):
        raise PriorError(f"{path.name} is no checkpoint: its name must end in {', '.join((SAFE, *PICKLES))}")
    if not path.is_file():
        raise PriorError(f"there is no file {path.name}")
    if (size := path.stat().st_size) > MAX_BYTES:
        raise PriorError(f"{path.name} has {size} bytes, more than the {MAX_BYTES} that are read")


def _read_safetensors(path: Path) -> Any:
    try:
        return load_file(path)
    except DAMAGED as error:
        raise PriorError(f"{path.name} is damaged, cut short or no safetensors file") from error


def _read_pickle(path: Path) -> Any:
    """Mapped into memory where the file allows it: all but the oldest are archives that do."""
    try:
        with path.open("rb") as file:
            archive = file.read(2) == b"PK"
        return torch.load(path, map_location="cpu", weights_only=True, mmap=archive)
    except pickle.UnpicklingError as error:  # its words advise to read the file without this protection
        asked = str(error).partition("GLOBAL ")[2].split()
        what = f"it asks for {asked[0]}" if asked else "it is something else, or damaged"
        raise PriorError(f"{path.name} is no file of tensors alone: {what}; refused, nothing of it was run") from error
    except DAMAGED as error:
        raise PriorError(f"{path.name} is damaged, cut short or no checkpoint") from error


def _find_state(content: Any, path: Path) -> Mapping[str, Any]:
    """The state dict: the content itself, or the part of it that is one."""
    if not isinstance(content, Mapping) or not content:
        raise PriorError(f"{path.name} holds no named tensors but a {type(content).__name__}")
    parts = {key: value for key, value in content.items() if isinstance(value, Mapping) and _is_state(value)}
    if named := [key for key in NESTS if key in parts]:
        return parts[named[0]]
    if any(isinstance(value, Tensor) for value in content.values()):
        return content
    if len(parts) > 1:
        raise PriorError(f"{path.name} holds several networks, {sorted(map(str, parts))}: save one of them alone")
    if not parts:
        raise PriorError(f"{path.name} holds no named tensors but {sorted(map(str, content))[:5]}")
    return next(iter(parts.values()))


def _is_state(values: Mapping[Any, Any]) -> bool:
    return bool(values) and all(isinstance(value, Tensor) for value in values.values())


def _check_values(state: Mapping[Any, Any], path: Path) -> None:
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise PriorError(f"{path.name}: {key!r} is a {type(value).__name__}, not a tensor with a name")
        if value.layout != torch.strided or value.device.type != "cpu" or value.dtype not in PLAIN:
            raise PriorError(f"{path.name}: {key} is no plain tensor of floats or integers")
    # a few bytes can pose as a tensor of any size; nothing has been allocated for it yet
    claimed, size = sum(value.numel() * value.element_size() for value in state.values()), path.stat().st_size
    if claimed > size:
        raise PriorError(f"{path.name} claims {claimed} bytes of weights and has {size}")
    for key, value in state.items():
        if not value.isfinite().all():
            raise PriorError(f"{path.name}: the weight {key} holds values that are not finite numbers")
