"""Priors on disk: a folder holds `config.json`, `diffusion_pytorch_model.safetensors` and `prior.json`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

WEIGHTS = "diffusion_pytorch_model.safetensors"


def write_prior(folder: Path, unet: nn.Module, manifest: dict[str, Any]) -> None:
    """Save `unet` in float16 with its manifest; the digest of the weights goes into the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {key: value.detach().cpu().to(torch.float16).contiguous() for key, value in unet.state_dict().items()}
    save_file(state, folder / WEIGHTS)
    unet.save_config(folder)
    digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    (folder / "prior.json").write_text(json.dumps(manifest | {"sha256": digest}, indent=1) + "\n")
