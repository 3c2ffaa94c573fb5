"""`prior.json` of a latent diffusion pipeline, Stable Diffusion 1.5 or 2.1, as `StableDiffusionPipeline` saves it.

Read are `model_index.json`, `unet/`, `vae/` and `scheduler/`, once also `tokenizer/` and `text_encoder/`: what they
make of the prompt is kept as `prompt.safetensors`.
"""

from pathlib import Path
from typing import Any

from priors.manifest import PriorError, read_json
from priors.pipeline import PROMPT, check_conditions, check_vae, empty_unet, empty_vae, latent_factor, size_multiple
from priors.prompt import prompt_tokens, write_prompt
from priors.schedulers import scheduler_fields
from priors.weights import WEIGHTS, file_digest

INDEX = "model_index.json"
PIPELINE = "StableDiffusionPipeline"
SIGMA_SCALE = 2.0
"""Standard deviation of latents over that of pixels on [-1, 1], about 1 / 0.5."""


def is_latent(folder: Path) -> bool:
    """Whether the pipeline in `folder` has an autoencoder between the pixels and its network."""
    return (folder / INDEX).is_file() and "vae" in read_json(folder, INDEX)


def latent_fields(folder: Path, prompt: str | None, trained_size: int | None) -> dict[str, Any]:
    """The fields of `prior.json` but for licence and symmetries; also writes `prompt.safetensors` where there is none.

    prompt: None for the one in `prompt.safetensors`, and the empty one where there is no such file. trained_size: side
    in pixels, where the `sample_size` of the UNet does not tell. Raises PriorError.
    """
    name, pipeline = folder.name, read_json(folder, INDEX).get("_class_name")
    if pipeline != PIPELINE:
        raise PriorError(f"prior {name}: a {pipeline} is not supported; of latent pipelines only a {PIPELINE} is")
    unet, vae = empty_unet(folder), empty_vae(folder)
    check_conditions(unet, name)
    check_vae(vae, name)
    factor, latents = latent_factor(vae), unet.config.sample_size
    if trained_size is None and not isinstance(latents, int):
        raise PriorError(f"prior {name}: sample_size {latents!r} is no side of a square: give --trained-size")
    fields = scheduler_fields(folder)
    levels = {key: fields[key] / SIGMA_SCALE for key in ("sigma_min", "sigma_max")}
    return {
        "kind": "latent",
        **fields,
        **levels,
        "latent_sigma_scale": SIGMA_SCALE,
        "latent_factor": factor,
        "trained_size": trained_size or factor * latents,
        "size_multiple": size_multiple(unet, vae),
        "fully_convolutional": False,
        **_prompt_fields(folder, prompt),
        "sha256": file_digest(folder / "unet" / WEIGHTS, f"{name} (unet)"),
        "vae_sha256": file_digest(folder / "vae" / WEIGHTS, f"{name} (vae)"),
    }


def _prompt_fields(folder: Path, prompt: str | None) -> dict[str, Any]:
    own = (folder / PROMPT).is_file()
    if own and prompt is not None:
        raise PriorError(f"prior {folder.name} has a {PROMPT} already: give no prompt, or remove it")
    if not own:
        write_prompt(folder, prompt or "")
    return {
        **({} if own else {"prompt": prompt or ""}),
        "prompt_tokens": prompt_tokens(folder),
        "prompt_sha256": file_digest(folder / PROMPT, folder.name),
    }
