"""Validation against the exported prior, through the project's own evaluation."""

from pathlib import Path

import pytest
import torch

from priors.evaluation import LEVELS, psnr
from priors.store import load_prior
from priors.training.validation import PSNR_CROPS, Validation
from tests.priors.training.tiny import CPU, tiny, training_of


def test_the_psnr_is_that_of_the_prior_that_is_exported(pictures: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path, learning_rate=0.03, ema_decay=0.5))
    for _ in range(6):
        training.advance()
    validation = Validation(training)
    scores = validation.psnr()
    training.export(tmp_path / "prior")
    prior = load_prior(tmp_path, "prior", CPU)
    clean = validation.clean[:PSNR_CROPS]
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(1))
    for sigma in LEVELS[:5]:
        x0 = prior.denoise(clean + sigma * noise, torch.full((len(clean),), sigma)).clamp(-1, 1)
        mean = sum(psnr(x, y) for x, y in zip(x0, clean, strict=True)) / len(clean)
        assert scores[f"{127.5 * sigma:g}"] == pytest.approx(mean, abs=0.2)


def test_two_values_differ_by_the_weights_alone(pictures: Path, tmp_path: Path) -> None:
    training = training_of(tiny(pictures, tmp_path))
    first, second = Validation(training), Validation(training_of(tiny(pictures, tmp_path)))
    assert first.loss() == first.loss() == second.loss()
    assert first.psnr() == second.psnr()
    assert first.clean.shape == (128, 3, 16, 16)
    training.advance()
    assert first.loss() != second.loss()
