"""A tiny pipeline of Stable Diffusion's kind on disk, every parameter random, saved by diffusers' own classes."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

WIDTH = 12
"""Of the prompt's tokens."""
BETAS: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
UNET: dict[str, Any] = {
    "sample_size": 8,
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "attention_head_dim": 4,
    "cross_attention_dim": WIDTH,
}
VAE: dict[str, Any] = {
    "block_out_channels": (8, 8),
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 4,
    "norm_num_groups": 4,
    "scaling_factor": 0.7,
}
"""Two pixels a side to a latent, so that the native size is 16."""


def build(kind: type[nn.Module], config: dict[str, Any], seed: int) -> Any:
    """Equal arguments give equal weights."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = kind(**config)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    return network.eval()


def tiny_unet(**changes: Any) -> Any:
    return build(UNet2DConditionModel, UNET | changes, seed=1)


def tiny_vae(**changes: Any) -> Any:
    return build(AutoencoderKL, VAE | changes, seed=2)


def tiny_prompt(tokens: int = 5, width: int = WIDTH) -> Tensor:
    return torch.randn(1, tokens, width, generator=torch.Generator().manual_seed(3))


def scheduler(prediction: str = "epsilon") -> DDIMScheduler:
    return DDIMScheduler(**BETAS, prediction_type=prediction, clip_sample=False)


def write_pipeline(
    folder: Path,
    *,
    prediction: str = "epsilon",
    unet: dict[str, Any] | None = None,
    vae: dict[str, Any] | None = None,
    prompt: Tensor | None = None,
) -> Path:
    """As `StableDiffusionPipeline.save_pretrained` does, without the text encoder; with `prompt` in its place."""
    tiny_unet(**unet or {}).save_pretrained(folder / "unet")
    tiny_vae(**vae or {}).save_pretrained(folder / "vae")
    scheduler(prediction).save_pretrained(folder / "scheduler")
    save_file({"encoder_hidden_states": tiny_prompt() if prompt is None else prompt}, folder / "prompt.safetensors")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "feature_extractor": [None, None],
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DDIMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder
