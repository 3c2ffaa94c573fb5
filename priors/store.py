"""Priors on disk: a folder holds `config.json`, `diffusion_pytorch_model.safetensors` and `prior.json`.

In the layout of diffusers' pipelines the first two lie in `unet/`; `priors.adoption` writes the third. The
network is laid out on the meta device from its configuration; `priors.weights` then reads what fits it exactly.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from priors.base import Prior
from priors.declaration import Declaration, read_declaration
from priors.gaussian import GAUSSIAN, check_gaussian, empty_gaussian
from priors.manifest import MANIFEST, PATTERN, PriorError, PriorInfo, read_fields, read_json, read_manifest
from priors.network import PatchedUNet, empty_network
from priors.parameterisation import adapt
from priors.weights import WEIGHTS, read_weights

CONFIG = "config.json"
ARCHITECTURES = ("UNet2DModel", *GAUSSIAN)


def write_prior(folder: Path, unet: nn.Module, manifest: dict[str, Any]) -> None:
    """Save `unet` in float16 with its manifest; the digest of the weights goes into the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().to(torch.float16).contiguous() for key, value in unet.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    unet.save_config(folder)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest | {"sha256": digest}, indent=1) + "\n")


def load_prior(models_dir: Path, name: str, device: torch.device, dtype: torch.dtype = torch.float32) -> Prior:
    """The prior `name` of `models_dir` on `device`: in evaluation mode, weights frozen. dtype: what it computes in.

    Raises PriorError for an unknown name and for anything wrong with the folder.
    """
    folder = models_dir / name
    if not PATTERN.fullmatch(name) or not folder.is_dir():  # checked before the name touches the file system
        raise PriorError(f"there is no prior named {name!r}")
    if not (folder / MANIFEST).is_file() and (weights_folder(folder) / CONFIG).is_file():
        raise PriorError(f"prior {name} has no {MANIFEST}: `rediffuse-priors adopt {folder}` writes it")
    if not (folder / MANIFEST).is_file():
        raise PriorError(f"there is no prior named {name!r}")
    info, fields = read_manifest(folder), read_fields(folder)
    if info.kind == "latent":
        from priors.latent import load_latent  # diffusers' autoencoders, paid only by who has such a prior

        return load_latent(folder, info, fields, device, dtype)
    declared = read_declaration(fields, name)
    return adapt(_load_network(folder, info, declared, device), info, declared, dtype)


def _load_network(folder: Path, info: PriorInfo, declared: Declaration, device: torch.device) -> nn.Module:
    """The network of `folder` as `NetworkPrior` calls it: with a state and a time."""
    name, config = info.name, read_config(folder)
    if config["_class_name"] in GAUSSIAN:
        network = empty_gaussian(config, name)
        check_gaussian(network, info, declared)
    else:
        network = empty_unet(folder, config)
        _check_unet(network, info, declared)
    path = weights_folder(folder) / WEIGHTS
    network.load_state_dict(read_weights(path, info.digest, network.state_dict(), name), assign=True)
    network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    if config["_class_name"] in GAUSSIAN:
        return network
    return PatchedUNet(network, declared.pixel_unshuffle, declared.label)


def weights_folder(folder: Path) -> Path:
    """Where `config.json` and the weights of a prior lie: in its folder, or in `unet/` as pipelines have it."""
    return folder if (folder / CONFIG).is_file() or not (folder / "unet").is_dir() else folder / "unet"


def read_config(folder: Path) -> dict[str, Any]:
    """`config.json` of one of `ARCHITECTURES`, which its `_class_name` is. Raises PriorError for anything else."""
    name = folder.name
    config = read_json(folder, str(weights_folder(folder).relative_to(folder) / CONFIG))
    if config.get("_class_name") not in ARCHITECTURES:
        raise PriorError(f"prior {name}: {CONFIG} describes none of the supported networks: {', '.join(ARCHITECTURES)}")
    return config


def empty_unet(folder: Path, config: dict[str, Any]) -> nn.Module:
    """The `UNet2DModel` that `config` describes, on the meta device: shapes without memory. Raises PriorError."""
    from diffusers import UNet2DModel  # two seconds of import, paid only by who loads a prior

    return empty_network(UNet2DModel, config, folder.name, CONFIG)


def has_attention(unet: nn.Module) -> bool:
    """Whether the network looks beyond its receptive field, and so belongs to the size that it was trained on."""
    from diffusers.models.attention_processor import Attention

    return any(isinstance(module, Attention) for module in unet.modules())


def _check_unet(unet: nn.Module, info: PriorInfo, declared: Declaration) -> None:
    """Raise PriorError where the manifest and the architecture contradict each other."""
    name, config = info.name, unet.config
    inputs = info.channels * declared.pixel_unshuffle**2
    outputs = 2 * inputs if declared.learned_variance else inputs
    if (config.in_channels, config.out_channels) != (inputs, outputs):
        expected = f"{inputs}" if inputs == outputs else f"{inputs} and {outputs}"
        raise PriorError(
            f"prior {name}: in_channels and out_channels must be {expected} for its pixel_unshuffle and "
            "learned_variance"
        )
    if config.class_embed_type is not None or config.num_class_embeds != declared.class_count:
        raise PriorError(
            f"prior {name}: its network embeds {config.num_class_embeds} classes (kind {config.class_embed_type}), "
            f"{MANIFEST} says {declared.class_count}"
        )
    if declared.time_map == "none":
        raise PriorError(f"prior {name}: its network is told the level, time_map cannot be 'none'")
    embedding = config.time_embedding_type  # a fourier network divides its output by sigma; others take any number
    if embedding != "positional" and (embedding, declared.time_map) != ("fourier", "sigma"):
        raise PriorError(f"prior {name}: a {embedding} time embedding does not go with time_map {declared.time_map!r}")
    if info.multiple_of % (declared.pixel_unshuffle * 2 ** (len(unet.down_blocks) - 1)):
        raise PriorError(f"prior {name}: its network does not take every multiple of {info.multiple_of} pixels")
    if info.fully_convolutional and has_attention(unet):
        raise PriorError(f"prior {name}: its network has attention, {MANIFEST} must say fully_convolutional: false")
