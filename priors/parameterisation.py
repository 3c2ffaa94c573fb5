"""From what a network predicts to the denoiser contract of `priors.base`.

Symbols as in Karras et al. 2022 (EDM), "Elucidating the Design Space of Diffusion-Based Generative Models", table 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from priors.manifest import PriorInfo


class Preconditioning(NamedTuple):
    """D(x, sigma) = c_skip * x + c_out * F(c_in * x, c_noise); each is (N, 1, 1, 1)."""

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor


def edm_preconditioning(sigma: Tensor, sigma_data: float) -> Preconditioning:
    """EDM, table 1: unit-variance input and training target at every level. sigma: (N,)."""
    sigma = sigma.reshape(-1, 1, 1, 1)
    variance = sigma**2 + sigma_data**2
    return Preconditioning(
        c_skip=sigma_data**2 / variance,
        c_out=sigma * sigma_data / variance.sqrt(),
        c_in=1 / variance.sqrt(),
    )


TIME_MAPS: dict[str, Callable[[Tensor], Tensor]] = {
    "250*ln(sigma)": lambda sigma: 250 * sigma.log(),
    "ln(sigma)/4": lambda sigma: sigma.log() / 4,
}
"""How a network wants to be told the level; the key is what `prior.json` says."""


class EdmPrior:
    """A network behind EDM preconditioning. `network(x, time)` maps (N, C, H, W) and (N,) to (N, C, H, W)."""

    def __init__(self, network: torch.nn.Module, info: PriorInfo, *, sigma_data: float, time_map: str):
        self.network = network
        self.info = info
        self.sigma_data = sigma_data
        self.time_map = TIME_MAPS[time_map]

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        # A network knows nothing outside the levels of its training. Below them, ask for the smallest. Above them,
        # shrink the input until its noise is of the largest: beside so much noise the size of an image hardly matters.
        level = sigma.clamp(self.info.sigma_min, self.info.sigma_max)
        x = x * (level / sigma).clamp(max=1).reshape(-1, 1, 1, 1)
        c_skip, c_out, c_in = edm_preconditioning(level, self.sigma_data)
        return c_skip * x + c_out * self.network(c_in * x, self.time_map(level))
