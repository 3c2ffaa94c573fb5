"""The networks of a pipeline, from configurations as they are published; shapes only, no weights."""

import json
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from priors.manifest import PriorError, PriorInfo
from priors.pipeline import check_conditions, check_parts, empty_unet, empty_vae, latent_factor, size_multiple

ATTENTION = ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",)
UNET_15: dict[str, Any] = {
    "_class_name": "UNet2DConditionModel",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ATTENTION,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
}
UNET_21 = UNET_15 | {
    "attention_head_dim": [5, 10, 20, 20],
    "cross_attention_dim": 1024,
    "dual_cross_attention": False,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "sample_size": 96,
    "upcast_attention": True,
    "use_linear_projection": True,
}
UNET_XL = UNET_15 | {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": [5, 10, 20],
    "block_out_channels": [320, 640, 1280],
    "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D",) + ("CrossAttnDownBlock2D",) * 2,
    "projection_class_embeddings_input_dim": 2816,
    "transformer_layers_per_block": [1, 2, 10],
    "up_block_types": ("CrossAttnUpBlock2D",) * 2 + ("UpBlock2D",),
    "use_linear_projection": True,
}
VAE: dict[str, Any] = {
    "_class_name": "AutoencoderKL",
    "_diffusers_version": "0.6.0",
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


def networks(folder: Path, unet: dict[str, Any]) -> tuple[nn.Module, nn.Module]:
    for part, config in (("unet", unet), ("vae", VAE)):
        (folder / part).mkdir()
        (folder / part / "config.json").write_text(json.dumps(config))
    return empty_unet(folder), empty_vae(folder)


def millions(network: nn.Module) -> float:
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


@pytest.mark.parametrize(
    ("config", "size"), [(UNET_15, 859.5), (UNET_21, 865.9)], ids=["Stable Diffusion 1.5", "Stable Diffusion 2.1"]
)
def test_stable_diffusion_is_read(tmp_path: Path, config: dict[str, Any], size: float) -> None:
    unet, vae = networks(tmp_path, config)
    assert (millions(unet), millions(vae)) == (pytest.approx(size, abs=0.1), pytest.approx(83.65, abs=0.01))
    assert all(parameter.is_meta for network in (unet, vae) for parameter in network.parameters())
    assert (latent_factor(vae), size_multiple(unet, vae), vae.config.scaling_factor) == (8, 64, 0.18215)
    check_parts(unet, vae, PriorInfo(name="sd", kind="latent", multiple_of=64, latent_factor=8))


def test_sdxl_is_told_more_than_a_prompt(tmp_path: Path) -> None:
    unet, _ = networks(tmp_path, UNET_XL)
    with pytest.raises(PriorError, match=r"prior sdxl: its UNet is told more than a prompt \(addition_embed_type\)"):
        check_conditions(unet, "sdxl")
