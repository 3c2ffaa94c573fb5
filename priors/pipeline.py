"""The networks in a folder of a latent diffusion pipeline as diffusers saves it: `unet/`, `vae/` and our prompt.

Laid out on the meta device from their configurations: shapes without memory.
"""

from pathlib import Path

from torch import nn

from priors.manifest import MANIFEST, PriorError, PriorInfo, read_json
from priors.network import empty_network

PROMPT, PROMPT_KEY = "prompt.safetensors", "encoder_hidden_states"
"""What the text encoder made of the prompt, and its name in there: (1, tokens, width)."""
UNSUPPORTED = (
    "addition_embed_type",
    "class_embed_type",
    "num_class_embeds",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "time_cond_proj_dim",
)
"""Conditions beside the prompt, as configurations of a `UNet2DConditionModel` name them."""


def empty_unet(folder: Path) -> nn.Module:
    """The `UNet2DConditionModel` in `unet/`. Raises PriorError."""
    from diffusers import UNet2DConditionModel  # two seconds of import, paid only by who loads a prior

    return _empty(folder, "unet", UNet2DConditionModel)


def empty_vae(folder: Path) -> nn.Module:
    """The `AutoencoderKL` in `vae/`. Raises PriorError."""
    from diffusers import AutoencoderKL

    return _empty(folder, "vae", AutoencoderKL)


def _empty(folder: Path, part: str, kind: type[nn.Module]) -> nn.Module:
    name, config = folder.name, read_json(folder, f"{part}/config.json")
    if config.get("_class_name") != kind.__name__:
        raise PriorError(f"prior {name}: {part}/config.json describes no {kind.__name__}")
    return empty_network(kind, config, name, f"{part}/config.json")


def check_parts(unet: nn.Module, vae: nn.Module, info: PriorInfo) -> None:
    """Raise PriorError where the networks do not fit each other or contradict the manifest."""
    name = info.name
    check_conditions(unet, name)
    check_vae(vae, name)
    factor, latents = latent_factor(vae), vae.config.latent_channels
    if {unet.config.in_channels, unet.config.out_channels} != {latents}:
        raise PriorError(
            f"prior {name}: its autoencoder has {latents} latent channels, its UNet takes {unet.config.in_channels} "
            f"and gives {unet.config.out_channels}"
        )
    if latents > info.channels * factor**2:
        raise PriorError(f"prior {name}: {latents} channels for {factor} x {factor} pixels are no compression")
    if info.latent_factor != factor:
        raise PriorError(
            f"prior {name}: {MANIFEST} says latent_factor {info.latent_factor}, its autoencoder has {factor}"
        )
    if info.multiple_of % size_multiple(unet, vae):
        raise PriorError(f"prior {name}: its networks do not take every multiple of {info.multiple_of} pixels")


def check_conditions(unet: nn.Module, name: str) -> None:
    """Raise PriorError for a UNet that wants to be told more than the level and a prompt."""
    if wanted := [key for key in UNSUPPORTED if unet.config[key] is not None]:
        raise PriorError(f"prior {name}: its UNet is told more than a prompt ({', '.join(wanted)}), as SDXL's is")
    width = unet.config.cross_attention_dim
    if not isinstance(width, int):
        raise PriorError(f"prior {name}: its UNet has the cross_attention_dim {width!r}, not one width of prompts")


def check_vae(vae: nn.Module, name: str) -> None:
    config = vae.config
    if (config.in_channels, config.out_channels) != (3, 3):
        raise PriorError(f"prior {name}: its autoencoder is of {config.in_channels} channels, not of 3")
    if config.latents_mean is not None or config.latents_std is not None:
        raise PriorError(f"prior {name}: its autoencoder scales every channel on its own, which is not supported")


def latent_factor(vae: nn.Module) -> int:
    """Pixels a side that one latent stands for."""
    return 2 ** (len(vae.config.block_out_channels) - 1)


def size_multiple(unet: nn.Module, vae: nn.Module) -> int:
    """Height and width in pixels must be multiples of this."""
    return latent_factor(vae) * 2 ** (len(unet.config.block_out_channels) - 1)
