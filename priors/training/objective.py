"""The EDM objective (Karras et al. 2022, section 5), as a loss and as the denoiser that it trains."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from priors.parameterisation import TIME_MAPS, edm_preconditioning
from priors.training.config import TrainingConfig


@dataclass(frozen=True)
class Objective:
    """Levels ln sigma ~ N(noise_mean, noise_std^2), weight (sigma^2 + sigma_data^2) / (sigma sigma_data)^2, so that the
    network's target has unit variance at every level. The network computes in `dtype`, all else in float32."""

    config: TrainingConfig
    dtype: torch.dtype

    def levels(self, draws: Tensor) -> Tensor:
        """Noise levels (N,) of standard normal draws (N,)."""
        config = self.config
        return (config.noise_mean + config.noise_std * draws).exp().clamp(config.sigma_min, config.sigma_max)

    def losses(self, network: Callable[..., Tensor], clean: Tensor, sigma: Tensor, noise: Tensor) -> Tensor:
        """The loss of each sample, (N,). clean, noise: (N, C, H, W). sigma: (N,)."""
        noisy = clean + sigma.reshape(-1, 1, 1, 1) * noise
        c_skip, c_out, _ = edm_preconditioning(sigma, self.config.sigma_data)
        target = (clean - c_skip * noisy) / c_out  # unit variance at every level
        return (self._output(network, noisy, sigma) - target).square().mean(dim=(1, 2, 3))

    def denoise(self, network: Callable[..., Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
        """D(x, sigma), (N, C, H, W)."""
        c_skip, c_out, _ = edm_preconditioning(sigma, self.config.sigma_data)
        return c_skip * noisy + c_out * self._output(network, noisy, sigma)

    def _output(self, network: Callable[..., Tensor], noisy: Tensor, sigma: Tensor) -> Tensor:
        c_in = edm_preconditioning(sigma, self.config.sigma_data)[2]
        with torch.autocast(noisy.device.type, self.dtype, enabled=self.dtype != torch.float32):
            return network(c_in * noisy, TIME_MAPS[self.config.time_map](sigma)).float()


def network_dtype(precision: str, device: torch.device) -> torch.dtype:
    """What the network computes in. `auto` takes bfloat16 where the device multiplies in it: a CPU that only imitates
    it is many times slower than in float32."""
    if precision != "auto":
        return getattr(torch, precision)
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}
        native = capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
    return torch.bfloat16 if native else torch.float32
