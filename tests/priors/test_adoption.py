"""Folders as diffusers itself writes them become priors."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, FlowMatchEulerDiscreteScheduler, ScoreSdeVeScheduler
from torch import Tensor

from priors.adoption import adopt
from priors.manifest import PriorError
from priors.store import WEIGHTS, load_prior
from tests.priors.unets import random_unet_of

CPU = torch.device("cpu")
SIZED = {"sample_size": 16}


def plain(folder: Path, scheduler: Any, changes: dict[str, Any]) -> Path:
    """Network and scheduler side by side, as the oldest checkpoints on the hub have them."""
    random_unet_of(SIZED | changes).save_pretrained(folder)
    scheduler.save_pretrained(folder)
    return folder


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize(
    "betas",
    [{}, {"beta_schedule": "scaled_linear", "beta_end": 0.012}, {"beta_schedule": "squaredcos_cap_v2"}],
    ids=str,
)
def test_a_pipeline_gives_the_clean_image_that_its_scheduler_computes(
    tmp_path: Path, x: Tensor, prediction: str, betas: dict[str, Any]
) -> None:
    unet, t = random_unet_of(SIZED), 400
    scheduler = DDPMScheduler(prediction_type=prediction, clip_sample=False, **betas)
    DDPMPipeline(unet, scheduler).save_pretrained(tmp_path / "faces")
    adopt(tmp_path / "faces", licence="MIT", symmetries="mirror")
    prior = load_prior(tmp_path, "faces", CPU)
    alpha_bar = scheduler.alphas_cumprod[t]
    with torch.no_grad():
        output = unet(alpha_bar.sqrt() * x, torch.tensor([t, t])).sample
        expected = scheduler.step(output, t, alpha_bar.sqrt() * x).pred_original_sample
        sigma = ((1 - alpha_bar) / alpha_bar).sqrt().expand(2)
        torch.testing.assert_close(prior.denoise(x, sigma), expected, rtol=1e-4, atol=1e-4)
    assert (prior.info.native_size, prior.info.multiple_of, prior.info.symmetries) == (16, 2, "mirror")


def test_levels_and_digest_are_those_of_the_files(tmp_path: Path) -> None:
    folder = plain(tmp_path / "p", DDIMScheduler(), {})
    adopt(folder, licence="MIT", source="https://example.org/p")
    assert json.loads((folder / "prior.json").read_text())["source"] == "https://example.org/p"
    info = load_prior(tmp_path, "p", CPU).info
    assert (info.sigma_min, info.sigma_max) == (pytest.approx(0.010001, rel=1e-4), pytest.approx(157.407, rel=1e-4))
    assert (info.fully_convolutional, info.symmetries, info.licence) == (True, "none", "MIT")
    (folder / WEIGHTS).write_bytes(b"other")
    with pytest.raises(PriorError, match="has the SHA-256"):
        load_prior(tmp_path, "p", CPU)


def test_attention_learned_variance_and_classes_are_seen(tmp_path: Path) -> None:
    config = {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "attention_head_dim": 4}
    folder = plain(tmp_path / "p", DDPMScheduler(), config | {"out_channels": 6, "num_class_embeds": 4})
    with pytest.raises(PriorError, match="embeds 4 classes, the class given is None"):
        adopt(folder, licence="MIT")
    adopt(folder, licence="MIT", class_label=3)
    prior = load_prior(tmp_path, "p", CPU)
    assert not prior.info.fully_convolutional
    assert prior.denoise(torch.zeros(1, 3, 16, 16), torch.ones(1)).shape == (1, 3, 16, 16)


def test_a_zero_terminal_snr_is_heard(tmp_path: Path) -> None:
    adopt(plain(tmp_path / "p", DDPMScheduler(rescale_betas_zero_snr=True), {}), licence="MIT")
    assert load_prior(tmp_path, "p", CPU).info.sigma_max > 1000


def test_a_flow_is_the_euler_step_of_its_scheduler(tmp_path: Path, x: Tensor) -> None:
    """One Euler step of the scheduler from q to 0 along the velocity is the clean image."""
    scheduler = FlowMatchEulerDiscreteScheduler()
    adopt(plain(tmp_path / "p", scheduler, {}), licence="MIT")
    scheduler.set_timesteps(sigmas=[0.25])
    unet, q = random_unet_of(SIZED), 0.25
    with torch.no_grad():
        velocity = unet((1 - q) * x, scheduler.timesteps).sample
        expected = scheduler.step(velocity, scheduler.timesteps[0], (1 - q) * x).prev_sample
        answer = load_prior(tmp_path, "p", CPU).denoise(x, torch.full((2,), q / (1 - q)))
    torch.testing.assert_close(answer, expected, rtol=1e-4, atol=1e-4)


def test_a_score_sde_checkpoint_lives_on_the_unit_range(tmp_path: Path, x: Tensor) -> None:
    adopt(plain(tmp_path / "p", ScoreSdeVeScheduler(sigma_max=348), {"time_embedding_type": "fourier"}), licence="MIT")
    prior = load_prior(tmp_path, "p", CPU)
    assert (prior.info.sigma_min, prior.info.sigma_max) == (0.02, 696)
    unit, level = (x + 1) / 2, torch.tensor([0.05, 2.5])
    with torch.no_grad():
        score = random_unet_of(SIZED | {"time_embedding_type": "fourier"}).forward(unit, level).sample
        expected = 2 * (unit + level.reshape(-1, 1, 1, 1) ** 2 * score) - 1
        torch.testing.assert_close(prior.denoise(x, 2 * level), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("scheduler_config.json", {"_class_name": "EulerAncestralDiscreteScheduler"}, "is not supported"),
        ("scheduler_config.json", {"prediction_type": "noise"}, "'noise'"),
        ("scheduler_config.json", {"beta_schedule": "sigmoid"}, "'sigmoid'"),
        ("scheduler_config.json", {"trained_betas": [0.1, 0.2]}, "own betas"),
        ("scheduler_config.json", {"beta_end": "much"}, "'beta_end'"),
        ("scheduler_config.json", {"num_train_timesteps": 10**12}, "2 to 100000 steps"),
        ("scheduler_config.json", {"beta_start": 1e-300, "beta_end": 1e-300}, "makes no schedule"),
        ("scheduler_config.json", {"_class_name": "ScoreSdeVeScheduler", "sigma_max": None}, "makes no schedule"),
        (
            "scheduler_config.json",
            {"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 5},
            "only 1000",
        ),
        ("config.json", {"sample_size": None}, "give --trained-size"),
        ("config.json", {"sample_size": [16, 32]}, "give --trained-size"),
        ("config.json", {"_class_name": "UNet2DConditionModel"}, "none of the supported networks"),
        ("config.json", {"in_channels": 1, "out_channels": 1}, "must be 3"),
        ("config.json", {"block_out_channels": [8, 32]}, "has the shape"),
    ],
    ids=str,
)
def test_what_cannot_be_read_is_refused_and_leaves_no_manifest(
    tmp_path: Path, file: str, changes: dict[str, Any], message: str
) -> None:
    folder = plain(tmp_path / "p", DDPMScheduler(), {})
    edit(folder / file, **changes)
    with pytest.raises(PriorError, match=f"prior p: .*{message}"):
        adopt(folder, licence="MIT")
    assert not (folder / "prior.json").exists()


def test_a_latent_pipeline_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    DDPMPipeline(random_unet_of(SIZED), DDPMScheduler()).save_pretrained(folder)
    edit(folder / "model_index.json", vqvae=["diffusers", "VQModel"])
    with pytest.raises(PriorError, match="is no UNet2DModel on pixels"):
        adopt(folder, licence="MIT")


def test_missing_files_and_a_second_adoption_are_refused(tmp_path: Path) -> None:
    folder = plain(tmp_path / "p", DDPMScheduler(), {})
    (folder / WEIGHTS).rename(folder / "kept")
    with pytest.raises(PriorError, match="cannot be read: No such file"):
        adopt(folder, licence="MIT")
    (folder / "kept").rename(folder / WEIGHTS)
    adopt(folder, licence="MIT")
    with pytest.raises(PriorError, match="has a prior.json already"):
        adopt(folder, licence="MIT")
    (folder / "prior.json").unlink()
    (folder / "scheduler_config.json").unlink()
    with pytest.raises(PriorError, match="has no scheduler_config.json"):
        adopt(folder, licence="MIT")
