"""Make a prior of a folder of diffusers; `rediffuse-priors adopt` is its command.

FOLDER holds a `UNet2DModel` (`config.json`, `diffusion_pytorch_model.safetensors`) and the `scheduler_config.json` that
it was trained with, side by side or as `DDPMPipeline.save_pretrained` lays them out (`unet/`, `scheduler/`); or it
holds a latent pipeline. What the scheduler says becomes `prior.json`, with the SHA-256 of the weights; then the prior
is loaded once, to be sure.
"""

import json
from pathlib import Path
from typing import Any

import torch
from torch import nn

from priors.latent_adoption import is_latent, latent_fields
from priors.manifest import MANIFEST, PriorError, read_json
from priors.pipeline import PROMPT
from priors.schedulers import scheduler_fields
from priors.store import empty_unet, has_attention, load_prior, read_config, weights_folder
from priors.weights import WEIGHTS, file_digest


def adopt(
    folder: Path,
    *,
    licence: str,
    symmetries: str = "none",
    trained_size: int | None = None,
    class_label: int | None = None,
    prompt: str | None = None,
    source: str = "",
) -> None:
    """Write `prior.json` into `folder`, from its scheduler's configuration.

    symmetries: of the pictures it was trained on, one of `SYMMETRIES`. trained_size: side in pixels, where the
    `sample_size` of the network does not tell. class_label: the class that a class-conditional network is told.
    prompt: what a latent pipeline is told, nothing if None; see `priors.latent_adoption`. source: where it came from,
    for whom reads the manifest. Raises PriorError, and leaves no manifest, for what this project cannot read; also
    where there is a manifest already.
    """
    if (folder / MANIFEST).exists():
        raise PriorError(f"prior {folder.name} has a {MANIFEST} already")
    written = [folder / file for file in (MANIFEST, PROMPT) if not (folder / file).exists()]
    try:
        if is_latent(folder):
            _refuse(folder, "a latent pipeline is told no class", class_label)
            manifest = latent_fields(folder, prompt, trained_size)
        else:
            _refuse(folder, "its network is told no prompt", prompt)
            manifest = _pixel_fields(folder, trained_size, class_label)
        manifest |= {"symmetries": symmetries, "licence": licence} | ({"source": source} if source else {})
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
        load_prior(folder.parent, folder.name, torch.device("cpu"))
    except BaseException:
        for path in written:  # what was not seen to load is no prior
            path.unlink(missing_ok=True)
        raise


def _refuse(folder: Path, reason: str, option: object) -> None:
    if option is not None:
        raise PriorError(f"prior {folder.name}: {reason}, and {option!r} was given")


def _pixel_fields(folder: Path, trained_size: int | None, class_label: int | None) -> dict[str, Any]:
    """The fields of `prior.json` of a network on pixels, but for licence and symmetries."""
    _check_pipeline(folder)
    unet = empty_unet(folder, read_config(folder))
    return {
        "kind": "pixel",
        **scheduler_fields(folder),
        **_from_network(folder, unet, trained_size),
        **_classes(folder, unet, class_label),
        "sha256": file_digest(weights_folder(folder) / WEIGHTS, folder.name),
    }


def _check_pipeline(folder: Path) -> None:
    """Refuse a pipeline that is more than a pixel-space UNet and its scheduler."""
    if not (folder / "model_index.json").is_file():
        return
    index = read_json(folder, "model_index.json")
    parts = {key for key, value in index.items() if not key.startswith("_") and value not in (None, [None, None])}
    if parts != {"unet", "scheduler"} or index["unet"] != ["diffusers", "UNet2DModel"]:
        raise PriorError(f"prior {folder.name}: a pipeline of {sorted(parts)} is no UNet2DModel on pixels")


def _from_network(folder: Path, unet: nn.Module, trained_size: int | None) -> dict[str, Any]:
    """Sizes, attention and learned variance, from the architecture."""
    config = unet.config
    size = trained_size or config.sample_size
    if isinstance(size, (list, tuple)) and len(set(size)) == 1:
        size = size[0]
    if not isinstance(size, int):
        raise PriorError(f"prior {folder.name}: sample_size {size!r} is no side of a square: give --trained-size")
    return {
        "trained_size": size,
        "size_multiple": 2 ** (len(unet.down_blocks) - 1),
        "fully_convolutional": not has_attention(unet),
        "learned_variance": config.out_channels == 2 * config.in_channels,
    }


def _classes(folder: Path, unet: nn.Module, class_label: int | None) -> dict[str, Any]:
    count = unet.config.num_class_embeds
    if (count is None) != (class_label is None):
        raise PriorError(f"prior {folder.name}: its network embeds {count} classes, the class given is {class_label}")
    return {} if count is None else {"class_count": count, "class_label": class_label}
