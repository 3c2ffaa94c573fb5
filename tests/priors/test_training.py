"""Tiny trainings on generated pictures: resuming, learning, exporting, and the command line."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from priors.store import WEIGHTS, load_prior
from priors.training import Training, TrainingConfig, parse_arguments, train

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four smooth colour pictures: a denoiser of them is learnt within a few steps."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for index in range(4):
        colours = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
        Image.fromarray(colours).resize((96, 80), Image.Resampling.BICUBIC).save(folder / f"{index}.png")
    return folder


def config(pictures: Path, out: Path, **changes: object) -> TrainingConfig:
    """Six steps of 2048 pixels."""
    tiny = TrainingConfig(
        data=str(pictures),
        out=str(out),
        crops=3,
        batch_pixels=2 * 32 * 32,
        crop_sizes=(16, 32),
        widths=(8, 16),
        layers=1,
        groups=4,
        learning_rate=4e-3,
        warmup_steps=2,
        bfloat16=False,
        checkpoint_every=3,
        holdout_every=4,
        licence="public domain",
    )
    return dataclasses.replace(tiny, **changes)


@pytest.fixture(scope="module")
def unbroken(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of one training from its first step to its last."""
    out = tmp_path_factory.mktemp("unbroken")
    train(config(pictures, out))
    return out


def test_a_resumed_run_equals_an_unbroken_one_to_the_bit(pictures: Path, unbroken: Path, tmp_path: Path) -> None:
    broken_off = Training(config(pictures, tmp_path), CPU)
    for _ in range(3):
        broken_off.advance()
    broken_off.save(tmp_path / "checkpoint.pt")
    broken_off.advance()  # lost with the process: the run goes on from the checkpoint
    torch.manual_seed(99)
    folder = train(config(pictures, tmp_path))

    assert (folder / WEIGHTS).read_bytes() == (unbroken / "prior" / WEIGHTS).read_bytes()
    records = [json.loads(line) for line in (tmp_path / "loss.jsonl").read_text().splitlines()]
    expected = [json.loads(line) for line in (unbroken / "loss.jsonl").read_text().splitlines()]
    assert [record["step"] for record in expected] == [3, 6] and len(records) == 1
    for key in ("step", "loss", "validation_loss"):
        assert records[0][key] == expected[1][key]


def test_a_finished_run_only_exports_again(pictures: Path, unbroken: Path) -> None:
    before = (unbroken / "prior" / WEIGHTS).read_bytes()
    log = (unbroken / "loss.jsonl").read_text()
    train(config(pictures, unbroken))
    assert (unbroken / "prior" / WEIGHTS).read_bytes() == before
    assert (unbroken / "loss.jsonl").read_text() == log


def test_the_exported_prior_loads_and_denoises(unbroken: Path) -> None:
    prior = load_prior(unbroken, "prior", CPU)
    assert (prior.info.multiple_of, prior.info.native_size) == (4, 32)
    assert (prior.info.sigma_min, prior.info.sigma_max) == (0.005, 80.0)
    assert prior.info.licence == "public domain"
    sigma = torch.tensor([0.005, 0.3, 80.0])
    x = sigma.reshape(-1, 1, 1, 1) * torch.randn(3, 3, 20, 12, generator=torch.Generator().manual_seed(0))
    answer = prior.denoise(x, sigma)
    assert answer.isfinite().all()
    assert answer[2].abs().max() < 5  # at 80, c_skip leaves next to nothing of the noise
    torch.testing.assert_close(answer[0], x[0], rtol=0, atol=0.05)


def test_what_is_exported_is_the_average_not_the_last_step(pictures: Path, tmp_path: Path) -> None:
    training = Training(config(pictures, tmp_path, ema_decay=0.9), CPU)
    for _ in range(6):
        training.advance()
    last = {key: value.clone() for key, value in training.unet.state_dict().items()}
    training.export(tmp_path / "prior")
    exported = load_prior(tmp_path, "prior", CPU).network.unet.state_dict()
    averages = dict(
        zip((name for name, _ in training.unet.named_parameters()), training.average.shadow_params, strict=True)
    )
    for key, value in training.unet.state_dict().items():
        assert torch.equal(value, last[key])  # the training itself goes on with its own weights
        torch.testing.assert_close(exported[key], averages[key].half().float(), rtol=0, atol=0)
    assert any(not torch.equal(averages[key].half(), last[key].half()) for key in last)


def test_it_learns(pictures: Path, tmp_path: Path) -> None:
    run = config(pictures, tmp_path, crops=120, batch_pixels=64 * 64, crop_sizes=(16,), ema_decay=0.9)
    training = Training(run, CPU)
    # the untrained network answers zero, whose loss is about the unit variance of the target
    assert training.validation_loss() == pytest.approx(1, abs=0.1)
    losses = [training.advance() for _ in range(run.steps)]
    assert len(losses) == 120
    assert sum(losses[-20:]) / 20 < 0.9 and training.validation_loss() < 0.9


def test_photographs_kept_out_are_not_trained_on(pictures: Path, tmp_path: Path) -> None:
    training = Training(config(pictures, tmp_path), CPU)
    assert (len(training.crops.images), len(training.validation.images)) == (3, 1)


def test_the_learning_rate_warms_up_and_falls_to_zero(pictures: Path, tmp_path: Path) -> None:
    run = config(pictures, tmp_path, crops=50, learning_rate=1.0, warmup_steps=10)
    rates = [run.learning_rate_at(step) for step in range(run.steps + 1)]
    assert rates[:10] == pytest.approx([0.1 * (step + 1) for step in range(10)])
    assert rates[10] == 1 and rates[55] == pytest.approx(0.5) and rates[-1] == pytest.approx(0, abs=1e-12)
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_folder_without_photographs_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no photographs found"):
        train(config(tmp_path, tmp_path / "out"))


def test_every_setting_is_an_option() -> None:
    parsed = parse_arguments(["--data", "D", "--out", "O"])
    assert parsed == TrainingConfig(data="D", out="O")
    parsed = parse_arguments(
        ["--data", "D", "--out", "O", "--no-bfloat16", "--crop-sizes", "32", "64", "--learning-rate", "1e-3"]
    )
    assert (parsed.bfloat16, parsed.crop_sizes, parsed.learning_rate) == (False, (32, 64), 1e-3)
