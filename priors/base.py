"""The one contract of this project: a prior is a denoiser in the variance-exploding frame.

`x0 = prior.denoise(x, sigma)` with `x = clean + sigma * white noise`, clean in [-1, 1]. Whatever a network was trained
to predict (eps, v, x0, flow) and on whatever schedule is adapted to this once, in `priors.parameterisation`.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@dataclass(frozen=True)
class PriorInfo:
    """What a prior declares about itself; the service publishes it and plans tiles and memory with it."""

    name: str
    channels: int = 3
    multiple_of: int = 1
    """Height and width of a query must be multiples of this."""
    native_size: int = 64
    """Side in pixels of the crops it was trained on."""
    fully_convolutional: bool = True
    """False for networks with attention: those are only run at `native_size`."""
    sigma_min: float = 0.0
    sigma_max: float = float("inf")
    """Noise range it was trained on, as a standard deviation on the [-1, 1] scale."""
    differentiable: bool = True
    parameterisation: str = "x0"
    licence: str = ""
    digest: str = ""
    """SHA-256 of the weights; empty where there are none."""


@runtime_checkable
class Prior(Protocol):
    """Anything that can play the part of a prior."""

    info: PriorInfo

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the clean image.

        x: (N, C, H, W) float32, clean image in [-1, 1] plus `sigma` times white noise. sigma: (N,) float32, one level
        for each sample. Returns (N, C, H, W) float32. Rows never influence each other. Not clipped.
        """
        ...


class PriorError(Exception):
    """A prior that cannot be used: unknown, damaged, or of a kind that this project does not read."""
