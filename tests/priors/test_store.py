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
from priors.schedules import linear_alpha_bar, vp_schedule
from priors.store import WEIGHTS, load_prior, write_prior
from tests.priors.denoisers import random_network
from tests.priors.unets import EPS_MANIFEST, random_unet_of

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
        (
            {"_class_name": "DiTTransformer2DModel"},
            "none of the supported networks: UNet2DModel, DnCNN, BiasFreeDnCNN, FFDNet",
        ),
        ({"_class_name": None}, "none of the supported networks: UNet2DModel, DnCNN, BiasFreeDnCNN, FFDNet"),
        ({"add_atention": False}, "unknown keys .'add_atention'"),
        ({"in_channels": 3}, "in_channels and out_channels must be 12"),
        ({"out_channels": 24}, "in_channels and out_channels must be 12"),
        ({"down_block_types": ["os.system", "DownBlock2D"]}, "no valid network"),
        ({"norm_num_groups": 5}, "no valid network"),
        ({"block_out_channels": "8"}, "no valid network"),
        ({"block_out_channels": [8, 32]}, "has the shape"),
        ({"add_attention": True}, "must say fully_convolutional: false"),
        ({"num_class_embeds": 10}, "embeds 10 classes"),
        ({"time_embedding_type": "fourier"}, "a fourier time embedding does not go with"),
        ({"time_embedding_type": "learned", "num_train_timesteps": 10}, "a learned time embedding"),
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
        ({"parameterisation": "consistency"}, "parameterisation 'consistency' is not supported"),
        ({"parameterisation": "eps"}, "time_map .* is not one of index"),
        ({"time_map": "__import__"}, "time_map '__import__' is not one of"),
        ({"sigma_data": None}, "'sigma_data'"),
        ({"sigma_data": -1.0}, "sigma_data > 0"),
        ({"pixel_unshuffle": -2}, "pixel_unshuffle > 0"),
        ({"size_multiple": 2}, "does not take every multiple of 2"),
        ({"learned_variance": True}, "must be 12 and 24"),
        ({"class_count": 10, "null_class": 0}, "embeds None classes"),
        ({"flow_velocity": "data-noise"}, "unknown or contradict"),
    ],
    ids=str,
)
def test_manifests_that_do_not_fit_are_refused(models: Path, changes: dict, message: str) -> None:
    edit(models / "tiny" / "prior.json", **changes)
    with pytest.raises(PriorError, match=message):
        load_prior(models, "tiny", CPU)


GAUSSIAN_MANIFEST = {
    "kind": "pixel",
    "parameterisation": "denoised",
    "time_map": "sigma",
    "data_range": [0, 1],
    "sigma_min": 0.01,
    "sigma_max": 0.6,
    "trained_size": 50,
    "size_multiple": 1,
    "licence": "public domain",
}


@pytest.fixture
def ffdnet(tmp_path: Path) -> Path:
    """A models folder with a small FFDNet, `ffdnet`, in float32."""
    folder = tmp_path / "models" / "ffdnet"
    folder.mkdir(parents=True)
    save_file(random_network("FFDNet").state_dict(), folder / WEIGHTS)
    (folder / "config.json").write_text(json.dumps({"_class_name": "FFDNet", "depth": 4, "width": 8}))
    (folder / "prior.json").write_text(json.dumps(GAUSSIAN_MANIFEST))
    edit(folder / "prior.json", sha256=hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest())
    return tmp_path / "models"


def test_a_gaussian_denoiser_is_asked_on_its_own_range(ffdnet: Path) -> None:
    prior, x, sigma = load_prior(ffdnet, "ffdnet", CPU), noisy((2, 3, 9, 14)), torch.tensor([0.05, 0.4])
    expected = 2 * random_network("FFDNet")((x + 1) / 2, sigma / 2) - 1
    torch.testing.assert_close(prior.denoise(x, sigma), expected, rtol=1e-5, atol=1e-5)
    assert not any(parameter.requires_grad or parameter.is_meta for parameter in prior.network.parameters())


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("config.json", {"width": 16}, "has the shape"),
        ("config.json", {"depth": 5}, "lacks .'model.8.bias'"),
        ("config.json", {"depth": 10**6}, "must give a FFDNet depth 2 to 100"),
        ("config.json", {"_class_name": "DnCNN"}, "a DnCNN is 'residual' with time_map 'none'"),
        ("config.json", {"_class_name": ["FFDNet"]}, "none of the supported networks"),
        ("prior.json", {"parameterisation": "residual", "time_map": "none"}, "a FFDNet is 'denoised'"),
        ("prior.json", {"schedule": {"kind": "linear"}}, "unknown or contradict"),
        ("prior.json", {"pixel_unshuffle": 2}, "has no pixel_unshuffle"),
    ],
    ids=str,
)
def test_a_gaussian_denoiser_that_does_not_fit_is_refused(ffdnet: Path, file: str, changes: dict, message: str) -> None:
    edit(ffdnet / "ffdnet" / file, **changes)
    with pytest.raises(PriorError, match=message):
        load_prior(ffdnet, "ffdnet", CPU)


def test_a_unet_is_never_blind(tmp_path: Path) -> None:
    manifest = EPS_MANIFEST | {"parameterisation": "residual", "time_map": "none"}
    del manifest["schedule"]
    write_prior(tmp_path / "p", random_unet_of({}), manifest)
    with pytest.raises(PriorError, match="its network is told the level"):
        load_prior(tmp_path, "p", CPU)


def test_import_does_not_pay_for_diffusers() -> None:
    code = "import sys, priors.store; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=120).returncode == 0


def noisy(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


VARIANTS: dict[str, tuple[dict, dict]] = {
    "attention": (
        {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
        | {"add_attention": True, "attention_head_dim": 4, "attn_norm_num_groups": 4, "sample_size": 16},
        {"fully_convolutional": False},
    ),
    "learned variance": ({"out_channels": 6}, {"learned_variance": True}),
    "classes": ({"num_class_embeds": 5}, {"class_count": 5, "class_label": 2, "null_class": 4}),
    "null class": ({"num_class_embeds": 5}, {"class_count": 5, "null_class": 4}),
}


@pytest.mark.parametrize("size", [(16, 16), (8, 20)], ids=str)
@pytest.mark.parametrize("variant", VARIANTS)
def test_an_eps_network_of_diffusers_is_asked_at_its_own_state_and_timestep(
    tmp_path: Path, variant: str, size: tuple[int, int]
) -> None:
    """x0 = x - sigma eps(x / sqrt(1 + sigma^2), t, class), one sample after the other, against a batch of levels."""
    config, fields = VARIANTS[variant]
    unet = random_unet_of(config)
    write_prior(tmp_path / "p", unet, EPS_MANIFEST | fields)
    prior = load_prior(tmp_path, "p", CPU)
    unet.load_state_dict({key: value.half().float() for key, value in unet.state_dict().items()})
    sigmas = vp_schedule(linear_alpha_bar(1000, 1e-4, 0.02)).sigmas
    timesteps = [3, 250, 700]
    x = noisy((3, 3, *size))
    sigma = sigmas[timesteps].float()
    label = {"classes": 2, "null class": 4}.get(variant)
    with torch.no_grad():
        answer = prior.denoise(x, sigma)
        for i, t in enumerate(timesteps):
            labels = None if label is None else torch.tensor([label])
            state = x[i : i + 1] / (1 + sigma[i] ** 2).sqrt()
            eps = unet(state, torch.tensor([t]), labels).sample[:, :3]
            torch.testing.assert_close(answer[i : i + 1], x[i : i + 1] - sigma[i] * eps, rtol=1e-4, atol=1e-4)
    assert prior.info.fully_convolutional == (variant != "attention")


def test_a_score_network_of_diffusers_on_the_unit_range(tmp_path: Path) -> None:
    """A fourier time embedding, as score-SDE's: x0 = u + s^2 score(u, s) for pictures u on [0, 1] and s = sigma / 2."""
    unet = random_unet_of({"time_embedding_type": "fourier"})
    manifest = EPS_MANIFEST | {"parameterisation": "score", "time_map": "sigma", "data_range": [0, 1]}
    del manifest["schedule"]
    write_prior(tmp_path / "p", unet, manifest)
    unet.load_state_dict({key: value.half().float() for key, value in unet.state_dict().items()})
    x, sigma = noisy((2, 3, 8, 16)), torch.tensor([0.1, 4.0])
    unit, level = (x + 1) / 2, sigma / 2
    with torch.no_grad():
        score = unet(unit, level).sample
        expected = 2 * (unit + level.reshape(-1, 1, 1, 1) ** 2 * score) - 1
        torch.testing.assert_close(load_prior(tmp_path, "p", CPU).denoise(x, sigma), expected, rtol=1e-4, atol=1e-4)


def test_the_layout_of_pipelines_is_read(models: Path) -> None:
    folder = models / "tiny"
    x, sigma = noisy((1, 3, 16, 16)), torch.tensor([0.3])
    expected = load_prior(models, "tiny", CPU).denoise(x, sigma)
    (folder / "unet").mkdir()
    for file in ("config.json", WEIGHTS):
        (folder / file).rename(folder / "unet" / file)
    assert torch.equal(load_prior(models, "tiny", CPU).denoise(x, sigma), expected)


def test_a_checkpoint_without_manifest_is_refused_with_the_way_out(models: Path) -> None:
    (models / "tiny" / "prior.json").unlink()
    with pytest.raises(PriorError, match="has no prior.json: `rediffuse-priors adopt .*tiny` writes it"):
        load_prior(models, "tiny", CPU)


def test_levels_that_the_schedule_does_not_know_are_refused(tmp_path: Path) -> None:
    write_prior(tmp_path / "p", random_unet_of({}), EPS_MANIFEST | {"sigma_min": 0.002})
    with pytest.raises(PriorError, match="levels 0.002 to 157.4 are declared, but its schedule knows 0.01"):
        load_prior(tmp_path, "p", CPU)
