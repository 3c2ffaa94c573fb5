"""The prior calls: the only file that loads priors and calls them."""

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from priors.base import Prior
from priors.manifest import PriorError, PriorInfo
from service.engine.errors import PriorLoadFailed

_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory", "ALLOC_FAILED")
"""Words of the CPU allocator (Windows, elsewhere), of the MPS allocator, and of cuDNN and cuBLAS."""


class Runner:
    """Keeps priors warm and runs batches on one device."""

    def __init__(self, load_prior: Callable[[str], Prior], device: torch.device):
        self.device = device
        self._load_prior = load_prior
        self._priors: dict[str, Prior] = {}

    def load(self, name: str) -> float:
        """Make sure that a prior is warm; returns the seconds it took, 0 where it was. Raises PriorLoadFailed."""
        if name in self._priors:
            return 0.0
        began = time.monotonic()
        try:
            self._priors[name] = self._load_prior(name)
        except Exception as error:  # noqa: BLE001 - a damaged file shows itself in many ways; the job ends with one
            raise PriorLoadFailed(f"the prior {name} could not be loaded: {error}") from error
        return time.monotonic() - began

    def info(self, name: str) -> PriorInfo:
        """Of a warm prior."""
        return self._priors[name].info

    def run(self, name: str, tiles: Sequence[Tensor], sigmas: Sequence[Tensor]) -> Tensor:
        """One call of a warm prior.

        tiles: (1, C, t, t) each. sigmas: (1,) each. Returns (N, C, t, t) float32 on the device: normal tensors, which
        solvers may change in place. Raises what the prior raises; see `is_out_of_memory`.
        """
        with torch.inference_mode():
            x = torch.cat([tile.to(self.device, torch.float32) for tile in tiles])  # (N, C, t, t)
            sigma = torch.cat([level.to(self.device, torch.float32) for level in sigmas])  # (N,)
            denoised = self._priors[name].denoise(x.contiguous(memory_format=torch.channels_last), sigma)
        if denoised.shape != x.shape:
            raise PriorError(f"the prior {name} answered {tuple(x.shape)} with {tuple(denoised.shape)}")
        answer = denoised.to(torch.float32, memory_format=torch.contiguous_format, copy=True)
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)  # so that what fails here, fails here, and seconds are true
        return answer

    def release(self) -> None:
        """Give memory that nobody uses back to the device."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a smaller batch may succeed where this one raised `error`."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _NO_MEMORY)


def is_fatal(error: BaseException) -> bool:
    """Whether the device is lost to this process: after a fault in a kernel every later call fails, too."""
    return isinstance(error, torch.AcceleratorError)
