"""Latent priors: a diffusion model on the latents of an autoencoder, as Stable Diffusion 1.5 and 2.1 are.

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models". Such a model denoises latents, and
a picture with noise on its pixels has none: its encoder has only seen clean pictures. So picture and noise are split
(the variable z of RLSD, Zilberstein et al. 2025, pulled to the encoder of the picture). Where mean is the picture
without its noise, E the mean of the encoder, D_z the denoiser of latents and n white noise:

    z  = E(mean)
    z0 = D_z(z + sigma_z n_z, sigma_z)      sigma_z = latent_sigma_scale * sigma
    x0 = decoder(z0)

n_z is a selection of n, the noise of the picture: what is white stays white, what is drawn from a seed stays so, and
tiles that begin at whole latents share it where they overlap.

Limits. The decoder's error is in every answer and bounds the PSNR, so this is for wide holes and large factors, where
a plausible picture is worth more than an exact one; the data step of the solver mends what is measured, nothing mends
the rest. Nothing is differentiated, neither the autoencoder nor the denoiser. The schedule of Stable Diffusion knows
sigma_z from 0.0292 to 14.6; what lies outside is answered by the nearest of the two. sigma_z itself is approximate:
pixels have a standard deviation of about 0.5 and latents of about 1, so that the factor is 2 unless `prior.json` says
otherwise, whatever the picture. The prompt is fixed at adoption, and there is no guidance. Weights
are float32, and so is all that the autoencoder computes: Stable Diffusion 1.5 has 3.5 GiB of them, and a tile of 512
pixels takes one CPU core 77 seconds where the UNet computes in float32, too.
"""

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from priors.base import Prior
from priors.declaration import NETWORK_FIELDS, Declaration, read_declaration
from priors.manifest import LATENT_FIELDS, MANIFEST, PriorError, PriorInfo, require_fields
from priors.parameterisation import adapt
from priors.pipeline import PROMPT, PROMPT_KEY, check_parts, empty_unet, empty_vae
from priors.weights import WEIGHTS, read_weights

OWN_FIELDS: dict[str, type] = {
    "latent_sigma_scale": float,
    "prompt_tokens": int,
    "vae_sha256": str,
    "prompt_sha256": str,
}
"""What `prior.json` must say besides; `sha256` is that of the UNet. Optional: `prompt`, for people."""
PARAMETERISATIONS = ("eps", "v")
MAX_TOKENS = 1024
"""Of a prompt; CLIP has 77."""


class Autoencoder:
    """An `AutoencoderKL`, scaled: from pictures on [-1, 1] to latents of about unit variance, and back."""

    def __init__(self, vae: nn.Module):
        self.vae = vae
        self._scale = vae.config.scaling_factor
        self._shift = vae.config.shift_factor or 0.0

    def encode(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to (N, c, H / factor, W / factor): the mean of the posterior."""
        return (self.vae.encode(x).latent_dist.mean - self._shift) * self._scale

    def decode(self, z: Tensor) -> Tensor:
        return self.vae.decode(z / self._scale + self._shift, return_dict=False)[0]


class PromptedUNet(nn.Module):
    """A `UNet2DConditionModel` that always hears the same prompt, as `NetworkPrior` calls a network."""

    def __init__(self, unet: nn.Module, prompt: Tensor):
        """prompt: (1, tokens, width), the hidden states of the text encoder."""
        super().__init__()
        self.unet = unet
        self.register_buffer("prompt", prompt)

    def forward(self, z: Tensor, time: Tensor) -> Tensor:
        return self.unet(z, time, self.prompt.expand(len(z), -1, -1), return_dict=False)[0]


class LatentPrior:
    """The split of the module."""

    def __init__(self, autoencoder: Autoencoder, denoiser: Prior, info: PriorInfo, sigma_scale: float):
        """denoiser: D_z, whose `info` has the levels of the latents. sigma_scale: sigma_z / sigma."""
        self.autoencoder = autoencoder
        self.denoiser = denoiser
        self.info = info
        self.sigma_scale = sigma_scale

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        """Raises PriorError: a picture with noise on it has no latents."""
        raise PriorError(f"the prior {self.info.name} is on latents: it needs the picture without its noise, too")

    def denoise_split(self, mean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
        """Estimate the clean image of mean + sigma * noise; see `priors.base.SplitPrior`."""
        known = self.denoiser.info
        level = (self.sigma_scale * sigma).clamp(known.sigma_min, known.sigma_max)  # (N,)
        z = self.autoencoder.encode(mean)  # (N, c, H / factor, W / factor)
        noise = functional.pixel_unshuffle(noise, self.info.latent_factor)[:, : z.shape[1]]
        return self.autoencoder.decode(self.denoiser.denoise(z + level.reshape(-1, 1, 1, 1) * noise, level))


def load_latent(
    folder: Path,
    info: PriorInfo,
    fields: dict[str, Any],
    device: torch.device,
    dtype: torch.dtype = torch.float32,
) -> LatentPrior:
    """The latent prior in `folder` on `device`: in evaluation mode, weights frozen. dtype: what its UNet computes in.

    info, fields: what `prior.json` says. Raises PriorError for anything wrong with the folder, and before any weight is
    read for an architecture that does not fit.
    """
    name, declared = info.name, _read_declaration(fields, info)
    unet, vae = empty_unet(folder), empty_vae(folder)
    check_parts(unet, vae, info)
    width = unet.config.cross_attention_dim
    states = {PROMPT_KEY: torch.empty(1, fields["prompt_tokens"], width, device="meta")}
    prompt = read_weights(folder / PROMPT, fields["prompt_sha256"], states, name)[PROMPT_KEY]
    for part, network, digest in (("unet", unet, info.digest), ("vae", vae, fields["vae_sha256"])):
        state = read_weights(folder / part / WEIGHTS, digest, network.state_dict(), f"{name} ({part})")
        network.load_state_dict(state, assign=True)
        network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    scale = fields["latent_sigma_scale"]
    levels = {"sigma_min": scale * info.sigma_min, "sigma_max": scale * info.sigma_max}
    latent = dataclasses.replace(info, channels=unet.config.in_channels, **levels)
    denoiser = adapt(PromptedUNet(unet, prompt.to(device)), latent, declared, dtype)
    return LatentPrior(Autoencoder(vae), denoiser, info, scale)


def _read_declaration(fields: dict[str, Any], info: PriorInfo) -> Declaration:
    """What `prior.json` says about the UNet, and a check of what it says besides. Raises PriorError."""
    name, own = info.name, OWN_FIELDS | LATENT_FIELDS | ({"prompt": str} if "prompt" in fields else {})
    require_fields(fields, own, name)
    declared = read_declaration({key: value for key, value in fields.items() if key not in own}, name)
    if foreign := sorted(NETWORK_FIELDS.keys() & fields.keys()):
        raise PriorError(f"prior {name}: a latent prior has no {foreign}")
    if declared.parameterisation not in PARAMETERISATIONS:
        known = ", ".join(PARAMETERISATIONS)
        raise PriorError(f"prior {name}: a latent prior predicts one of {known}, not {declared.parameterisation}")
    if not fields["latent_sigma_scale"] > 0 or not 0 < fields["prompt_tokens"] <= MAX_TOKENS:
        raise PriorError(
            f"prior {name}: {MANIFEST} needs latent_sigma_scale > 0 and prompt_tokens from 1 to {MAX_TOKENS}"
        )
    if info.fully_convolutional:
        raise PriorError(f"prior {name}: its networks have attention, {MANIFEST} must say fully_convolutional: false")
    return declared
