"""A pipeline of Stable Diffusion's kind becomes a prior; others do not."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import EulerAncestralDiscreteScheduler
from safetensors.torch import save_file

from priors.adoption import adopt
from priors.manifest import PriorError
from priors.weights import WEIGHTS
from tests.priors.latents import tiny_prompt, write_pipeline


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_pipeline(tmp_path / "sd", prediction="v_prediction")


def test_the_manifest_says_what_the_pipeline_is(folder: Path) -> None:
    adopt(folder, licence="CreativeML OpenRAIL++-M", symmetries="mirror")
    fields = json.loads((folder / "prior.json").read_text())
    digests = {
        key: hashlib.sha256((folder / file).read_bytes()).hexdigest()
        for key, file in {
            "sha256": f"unet/{WEIGHTS}",
            "vae_sha256": f"vae/{WEIGHTS}",
            "prompt_sha256": "prompt.safetensors",
        }.items()
    }
    assert fields == digests | {
        "kind": "latent",
        "parameterisation": "v",
        "time_map": "index",
        "schedule": {"kind": "scaled_linear", "steps": 1000, "beta_start": 0.00085, "beta_end": 0.012},
        "sigma_min": pytest.approx(0.0146, rel=2e-3),
        "sigma_max": pytest.approx(7.305, rel=1e-3),
        "latent_sigma_scale": 2.0,
        "latent_factor": 2,
        "trained_size": 16,
        "size_multiple": 4,
        "fully_convolutional": False,
        "prompt_tokens": 5,
        "symmetries": "mirror",
        "licence": "CreativeML OpenRAIL++-M",
    }


def test_a_size_may_be_given(folder: Path) -> None:
    edit(folder / "unet" / "config.json", sample_size=None)
    with pytest.raises(PriorError, match="sample_size None is no side of a square: give --trained-size"):
        adopt(folder, licence="MIT")
    adopt(folder, licence="MIT", trained_size=24)
    assert json.loads((folder / "prior.json").read_text())["trained_size"] == 24


@pytest.mark.parametrize("pipeline", ["StableDiffusionXLPipeline", "StableDiffusion3Pipeline", None])
def test_other_latent_pipelines_are_refused_by_name(folder: Path, pipeline: str | None) -> None:
    edit(folder / "model_index.json", _class_name=pipeline)
    with pytest.raises(PriorError, match=f"prior sd: a {pipeline} is not supported; .* only a StableDiffusionPipeline"):
        adopt(folder, licence="MIT")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"addition_embed_type": "text"}, r"told more than a prompt \(addition_embed_type\), as SDXL's is"),
        ({"surprise": 1}, "unknown keys"),
        ({"in_channels": 9}, "its UNet takes 9 and gives 4"),
        ({"block_out_channels": [8, 24]}, "has the shape"),
    ],
    ids=str,
)
def test_what_cannot_be_read_leaves_the_folder_as_it_was(folder: Path, changes: dict[str, Any], message: str) -> None:
    edit(folder / "unet" / "config.json", **changes)
    before = sorted(folder.rglob("*"))
    with pytest.raises(PriorError, match=message):
        adopt(folder, licence="MIT")
    assert sorted(folder.rglob("*")) == before


def test_a_sampler_of_another_kind_is_refused(folder: Path) -> None:
    EulerAncestralDiscreteScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(PriorError, match="the scheduler 'EulerAncestralDiscreteScheduler' is not supported"):
        adopt(folder, licence="MIT")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompt": "a cat"}, "has a prompt.safetensors already: give no prompt, or remove it"),
        ({"class_label": 1}, "a latent pipeline is told no class, and 1 was given"),
    ],
    ids=str,
)
def test_contradictions_are_refused(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(PriorError, match=f"prior sd.*{message}"):
        adopt(folder, licence="MIT", **options)
    assert (folder / "prompt.safetensors").is_file()  # it was there before


@pytest.mark.parametrize(
    ("states", "message"),
    [
        ({"other": tiny_prompt()}, "holds no encoder_hidden_states"),
        ({"encoder_hidden_states": torch.ones(5)}, r"\(5,\)"),
    ],
    ids=["another name", "another shape"],
)
def test_a_file_that_holds_no_prompt_is_refused(folder: Path, states: dict[str, torch.Tensor], message: str) -> None:
    save_file(states, folder / "prompt.safetensors")
    with pytest.raises(PriorError, match=f"prior sd: .*{message}"):
        adopt(folder, licence="MIT")
