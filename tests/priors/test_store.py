"""Loading priors: the round trip, and everything that must be refused."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from priors.base import Prior
from priors.manifest import PriorError
from priors.network import PatchedUNet
from priors.parameterisation import edm_preconditioning
from priors.store import WEIGHTS, load_prior

CPU = torch.device("cpu")


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rewrite_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    """Change the weights and record their new digest, so that only the check behind it can refuse them."""
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS)
    edit(folder / "prior.json", sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())


def test_round_trip_equals_the_network_that_was_written(models: Path, unet: nn.Module) -> None:
    prior = load_prior(models, "tiny", CPU)
    assert isinstance(prior, Prior)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 3, 16, 24, generator=generator)
    sigma = torch.tensor([0.01, 0.7, 20.0])
    c_skip, c_out, c_in = edm_preconditioning(sigma, 0.5)
    with torch.no_grad():
        rounded = {key: value.half().float() for key, value in unet.state_dict().items()}
        raw = torch.func.functional_call(
            PatchedUNet(unet, 2), {f"unet.{k}": v for k, v in rounded.items()}, (c_in * x, 250 * sigma.log())
        )
        torch.testing.assert_close(prior.denoise(x, sigma), c_skip * x + c_out * raw, rtol=1e-5, atol=1e-5)


def test_loaded_weights_are_frozen_float32_in_evaluation_mode(models: Path) -> None:
    unet = load_prior(models, "tiny", CPU).network.unet
    assert not unet.training
    assert all(p.dtype == torch.float32 and not p.requires_grad and not p.is_meta for p in unet.parameters())
    assert unet.conv_in.weight.is_contiguous(memory_format=torch.channels_last)


def test_rows_do_not_influence_each_other(models: Path) -> None:
    prior = load_prior(models, "tiny", CPU)
    x, sigma = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(1)), torch.tensor([0.01, 0.2, 3, 60])
    with torch.no_grad():
        alone = torch.cat([prior.denoise(x[i : i + 1], sigma[i : i + 1]) for i in range(4)])
        torch.testing.assert_close(prior.denoise(x, sigma), alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["../models/tiny", "/etc", "tiny/", "./tiny", "..", "", "tiny\0", "TINY", "other"])
def test_only_names_of_the_folder_are_known(models: Path, name: str) -> None:
    with pytest.raises(PriorError, match="there is no prior named"):
        load_prior(models, name, CPU)


def test_one_changed_byte_is_refused(models: Path) -> None:
    path = models / "tiny" / WEIGHTS
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(PriorError, match="prior tiny: .* has the SHA-256"):
        load_prior(models, "tiny", CPU)


@pytest.mark.parametrize("length", [0, 7, 200, -10])
def test_a_truncated_file_is_refused_even_with_a_matching_digest(models: Path, length: int) -> None:
    path = models / "tiny" / WEIGHTS
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(PriorError, match="has the SHA-256"):
        load_prior(models, "tiny", CPU)
    edit(models / "tiny" / "prior.json", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(PriorError, match="is damaged"):
        load_prior(models, "tiny", CPU)


def test_a_pickle_under_the_name_of_the_weights_is_refused(models: Path) -> None:
    path = models / "tiny" / WEIGHTS
    torch.save({"conv_in.weight": torch.zeros(8, 12, 3, 3)}, path)
    edit(models / "tiny" / "prior.json", sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(PriorError, match="is damaged"):
        load_prior(models, "tiny", CPU)


def test_missing_weights_and_config_are_named(models: Path) -> None:
    (models / "tiny" / WEIGHTS).rename(models / "tiny" / "model.bin")
    with pytest.raises(PriorError, match=f"{WEIGHTS} cannot be read"):
        load_prior(models, "tiny", CPU)
    (models / "tiny" / "config.json").unlink()
    with pytest.raises(PriorError, match="config.json cannot be read"):
        load_prior(models, "tiny", CPU)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv_in.bias"), "lacks .'conv_in.bias'"),
        (lambda state: state.update(extra=torch.zeros(1)), "unexpected .'extra'"),
        (lambda state: state.update({"conv_in.bias": torch.zeros(9)}), r"conv_in.bias has the shape \(9,\)"),
        (lambda state: state["conv_in.bias"].fill_(float("nan")), "conv_in.bias holds values that are not finite"),
        (lambda state: state.update({"conv_in.bias": torch.zeros(8, dtype=torch.int8)}), "not finite numbers"),
    ],
    ids=["missing", "unexpected", "shape", "nan", "integer"],
)
def test_weights_that_do_not_fit_are_refused(models: Path, change: Callable, message: str) -> None:
    rewrite_weights(models / "tiny", change)
    with pytest.raises(PriorError, match=message):
        load_prior(models, "tiny", CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"_class_name": "DiTTransformer2DModel"}, "the only architecture supported"),
        ({"_class_name": None}, "the only architecture supported"),
        ({"add_atention": False}, "unknown keys .'add_atention'"),
        ({"in_channels": 3}, "in_channels and out_channels must be 12"),
        ({"out_channels": 24}, "in_channels and out_channels must be 12"),
        ({"down_block_types": ["os.system", "DownBlock2D"]}, "no valid network"),
        ({"norm_num_groups": 5}, "no valid network"),
        ({"block_out_channels": "8"}, "no valid network"),
        ({"block_out_channels": [8, 32]}, "has the shape"),
    ],
    ids=str,
)
def test_configurations_that_do_not_fit_are_refused(models: Path, changes: dict, message: str) -> None:
    edit(models / "tiny" / "config.json", **changes)
    with pytest.raises(PriorError, match=message):
        load_prior(models, "tiny", CPU)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parameterisation": "eps"}, "parameterisation 'eps' is not supported"),
        ({"time_map": "__import__"}, "time_map '__import__' is not one of"),
        ({"sigma_data": None}, "'sigma_data'"),
        ({"sigma_data": -1.0}, "sigma_data > 0"),
        ({"pixel_unshuffle": -2}, "pixel_unshuffle > 0"),
        ({"size_multiple": 2}, "does not take every multiple of 2"),
    ],
    ids=str,
)
def test_manifests_that_do_not_fit_are_refused(models: Path, changes: dict, message: str) -> None:
    edit(models / "tiny" / "prior.json", **changes)
    with pytest.raises(PriorError, match=message):
        load_prior(models, "tiny", CPU)


def test_import_does_not_pay_for_diffusers() -> None:
    code = "import sys, priors.store; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0
