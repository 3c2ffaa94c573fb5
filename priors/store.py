"""Priors on disk: a folder holds `config.json`, `diffusion_pytorch_model.safetensors` and `prior.json`.

Weights are only ever read from local safetensors, which cannot hold code, and only after their digest, names and shapes
have been checked against `prior.json` and the architecture.
"""

import hashlib
import inspect
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from priors.base import Prior
from priors.manifest import MANIFEST, PATTERN, PriorError, PriorInfo, read_fields, read_manifest, require_fields
from priors.network import PatchedUNet
from priors.parameterisation import TIME_MAPS, EdmPrior

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
EDM_FIELDS: dict[str, type] = {"sigma_data": float, "time_map": str, "pixel_unshuffle": int}


def write_prior(folder: Path, unet: nn.Module, manifest: dict[str, Any]) -> None:
    """Save `unet` in float16 with its manifest; the digest of the weights goes into the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().to(torch.float16).contiguous() for key, value in unet.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    unet.save_config(folder)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / MANIFEST).write_text(json.dumps(manifest | {"sha256": digest}, indent=1) + "\n")


def load_prior(models_dir: Path, name: str, device: torch.device) -> Prior:
    """The prior `name` of `models_dir` on `device`: float32, evaluation mode, weights frozen.

    Raises PriorError for an unknown name and for anything wrong with the folder.
    """
    folder = models_dir / name
    # checked before the name touches the file system
    if not PATTERN.fullmatch(name) or not (folder / MANIFEST).is_file():
        raise PriorError(f"there is no prior named {name!r}")
    info, fields = read_manifest(folder), read_fields(folder)
    _check_edm(name, info, fields)
    unshuffle = fields["pixel_unshuffle"]
    unet = _empty_unet(folder, channels=info.channels * unshuffle**2)
    if info.multiple_of % (unshuffle * 2 ** (len(unet.down_blocks) - 1)):
        raise PriorError(f"prior {name}: its network does not take every multiple of {info.multiple_of} pixels")
    unet.load_state_dict(_read_weights(folder, info.digest, unet.state_dict()), assign=True)
    unet.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    network = PatchedUNet(unet, unshuffle)
    return EdmPrior(network, info, sigma_data=float(fields["sigma_data"]), time_map=fields["time_map"])


def _check_edm(name: str, info: PriorInfo, fields: dict[str, Any]) -> None:
    """Raise PriorError unless the manifest has what `EdmPrior` needs."""
    if info.parameterisation != "edm":
        raise PriorError(f"prior {name}: parameterisation {info.parameterisation!r} is not supported, only 'edm'")
    require_fields(fields, EDM_FIELDS, name)
    if fields["time_map"] not in TIME_MAPS:
        raise PriorError(f"prior {name}: time_map {fields['time_map']!r} is not one of {', '.join(TIME_MAPS)}")
    if not (fields["sigma_data"] > 0 and fields["pixel_unshuffle"] > 0):
        raise PriorError(f"prior {name}: {MANIFEST} needs sigma_data > 0 and pixel_unshuffle > 0")


def _empty_unet(folder: Path, channels: int) -> nn.Module:
    """The `UNet2DModel` that `config.json` describes, on the meta device: shapes without memory."""
    from diffusers import UNet2DModel  # two seconds of import, paid only by who loads a prior

    name = folder.name
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PriorError(f"prior {name}: {CONFIG} cannot be read: {error}") from error
    if not isinstance(config, dict) or config.get("_class_name") != "UNet2DModel":
        raise PriorError(f"prior {name}: {CONFIG} describes no UNet2DModel, the only architecture supported")
    arguments = {key: value for key, value in config.items() if not key.startswith("_")}
    unknown = set(arguments) - set(inspect.signature(UNet2DModel.__init__).parameters)
    if unknown:  # diffusers would ignore them in silence
        raise PriorError(f"prior {name}: {CONFIG} has unknown keys {sorted(unknown)}")
    if (arguments.get("in_channels"), arguments.get("out_channels")) != (channels, channels):
        raise PriorError(f"prior {name}: in_channels and out_channels must be {channels} for its pixel_unshuffle")
    try:
        with torch.device("meta"):
            return UNet2DModel(**arguments)
    except (TypeError, ValueError, IndexError, AttributeError, NotImplementedError, RuntimeError) as error:
        # diffusers raises any of these for a value it does not know
        raise PriorError(f"prior {name}: {CONFIG} describes no valid network: {error}") from error


def _read_weights(folder: Path, digest: str, expected: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights in float32, after their digest, names and shapes have been compared."""
    name, path = folder.name, folder / WEIGHTS
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise PriorError(f"prior {name}: {WEIGHTS} cannot be read: {error.strerror}") from error
    if found != digest:
        raise PriorError(f"prior {name}: {WEIGHTS} has the SHA-256 {found[:12]}.., {MANIFEST} says {digest[:12]}..")
    try:
        state = load_file(path)
    except SafetensorError as error:
        raise PriorError(f"prior {name}: {WEIGHTS} is damaged: {error}") from error
    missing, unexpected = sorted(expected.keys() - state.keys()), sorted(state.keys() - expected.keys())
    if missing or unexpected:
        raise PriorError(f"prior {name}: {WEIGHTS} lacks {missing[:3]} and has unexpected {unexpected[:3]}")
    for key, value in state.items():
        if value.shape != expected[key].shape:
            shapes = f"{tuple(value.shape)} instead of {tuple(expected[key].shape)}"
            raise PriorError(f"prior {name}: the weight {key} has the shape {shapes}")
        if not value.is_floating_point() or not value.isfinite().all():
            raise PriorError(f"prior {name}: the weight {key} holds values that are not finite numbers")
    return {key: value.float() for key, value in state.items()}
