"""What a network is trained for, as a loss and as the denoiser that it trains; and what `prior.json` says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from priors.network import PatchedUNet, build_unet, unet_config
from priors.noise_map import NoiseMapUNet
from priors.parameterisation import TIME_MAPS, edm_preconditioning
from priors.training.config import TrainingConfig
from priors.training.samples import DRAWS, samples


class Objective(Protocol):
    """One of `OBJECTIVES`. The network computes in `dtype`, all else in float32."""

    config: TrainingConfig
    dtype: torch.dtype

    draws: int
    """Standard normal draws that decide about the noise of a sample."""

    def levels(self, draws: Tensor) -> Tensor:
        """Noise levels (N,) of the first of the `draws`, (N,)."""
        ...

    def losses(self, network: Callable[..., Tensor], clean: Tensor, draws: Tensor, white: Tensor) -> Tensor:
        """The loss of each sample, (N,). clean, white: (N, C, H, W), the noise of deviation 1. draws: (N, `draws`)."""
        ...

    def denoise(self, network: Callable[..., Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
        """D(x, sigma), (N, C, H, W)."""
        ...

    def build(self) -> tuple[nn.Module, nn.Module]:
        """What has the weights, and is saved; and the same as it is called, with a picture and a level."""
        ...

    @property
    def declared(self) -> dict[str, Any]:
        """The fields of `prior.json` that tell how the network is used."""
        ...


@dataclass(frozen=True)
class _Levels:
    """ln sigma ~ N(noise_mean, noise_std^2)."""

    config: TrainingConfig
    dtype: torch.dtype
    draws = 1

    def levels(self, draws: Tensor) -> Tensor:
        config = self.config
        return (config.noise_mean + config.noise_std * draws).exp().clamp(config.sigma_min, config.sigma_max)

    def _run(self, network: Callable[..., Tensor], x: Tensor, level: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return network(x, level).float()


class EdmObjective(_Levels):
    """A diffusion prior (Karras et al. 2022, section 5): weight (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, so
    that the network's target has unit variance at every level."""

    def losses(self, network: Callable[..., Tensor], clean: Tensor, draws: Tensor, white: Tensor) -> Tensor:
        sigma = self.levels(draws[:, 0])
        noisy = clean + sigma.reshape(-1, 1, 1, 1) * white
        c_skip, c_out, _ = edm_preconditioning(sigma, self.config.sigma_data)
        target = (clean - c_skip * noisy) / c_out  # unit variance at every level
        return (self._output(network, noisy, sigma) - target).square().mean(dim=(1, 2, 3))

    def denoise(self, network: Callable[..., Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
        c_skip, c_out, _ = edm_preconditioning(sigma, self.config.sigma_data)
        return c_skip * noisy + c_out * self._output(network, noisy, sigma)

    def _output(self, network: Callable[..., Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
        c_in = edm_preconditioning(sigma, self.config.sigma_data)[2]
        return self._run(network, c_in * noisy, TIME_MAPS[self.config.time_map](sigma))

    def build(self) -> tuple[nn.Module, nn.Module]:
        config = self.config
        unet = build_unet(unet_config(3, config.unshuffle, config.widths, config.layers, config.groups))
        return unet, PatchedUNet(unet, config.unshuffle)

    @property
    def declared(self) -> dict[str, Any]:
        config = self.config
        return {
            "parameterisation": "edm",
            "sigma_data": config.sigma_data,
            "time_map": config.time_map,
            "pixel_unshuffle": config.unshuffle,
        }


class NoiseMapObjective(_Levels):
    """A denoiser that is told the noise level of every pixel: squared error over sigma.

    The error that cannot be avoided grows with sigma a little more than in proportion, so that every level counts
    about alike in dB.
    """

    draws = 1 + DRAWS

    def losses(self, network: Callable[..., Tensor], clean: Tensor, draws: Tensor, white: Tensor) -> Tensor:
        sigma = self.levels(draws[:, 0])
        shown = samples(clean, sigma, white, draws[:, 1:])
        error = shown.noisy - shown.truth - self._run(network, shown.noisy, shown.told)
        return error.square().mean(dim=(1, 2, 3)) / sigma

    def denoise(self, network: Callable[..., Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
        return noisy - self._run(network, noisy, sigma)

    def build(self) -> tuple[nn.Module, nn.Module]:
        network = NoiseMapUNet(list(self.config.widths), self.config.layers)
        return network, network

    @property
    def declared(self) -> dict[str, Any]:
        parameterisation, time_map = NoiseMapUNet.predicts
        return {"parameterisation": parameterisation, "time_map": time_map}


OBJECTIVES: dict[str, type[EdmObjective] | type[NoiseMapObjective]] = {
    "unet": EdmObjective,
    "noise-map": NoiseMapObjective,
}
"""By `TrainingConfig.network`."""
