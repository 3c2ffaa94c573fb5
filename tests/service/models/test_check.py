"""The bundled prior passes; one whose adapter is wrong does not, and the report says where."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from priors.manifest import PriorError
from priors.store import load_prior
from service.models import check as module
from service.models.check import check, cut_crops, measure, peak_memory
from service.settings import BUNDLED_PRIORS, Settings
from tests.priors.latents import write_pipeline

CPU = torch.device("cpu")
PICTURES = Path(__file__).parents[3] / "examples" / "pictures"
PHOTOGRAPH = PICTURES / "original.png"
NAME = Settings().default_prior


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One crop of the least side that says something."""
    monkeypatch.setattr(module, "CROPS", 1)
    monkeypatch.setattr(module, "CONVOLUTIONAL_SIDE", 64)


def test_the_bundled_prior_passes() -> None:
    report = check(BUNDLED_PRIORS, NAME, PHOTOGRAPH, CPU)
    assert report.passed, report.verdicts
    assert [verdict.what for verdict in report.verdicts] == [
        "weights",
        "denoising",
        "slope",
        "calibration",
        "inpainting",
    ]
    assert report.load_s > 0 and report.peak_bytes > 2**20
    assert report.inpainting is not None and report.inpainting.psnr > 20
    described = report.as_json()
    assert json.loads(json.dumps(described)) == described
    assert (described["passed"], len(described["levels"])) == (True, 6)


def test_a_wrong_manifest_fails(tmp_path: Path) -> None:
    """The same weights, told another level than they are: what a mistake in a conversion looks like."""
    shutil.copytree(BUNDLED_PRIORS / NAME, tmp_path / "wrong")
    manifest = tmp_path / "wrong" / "prior.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"time_map": "ln(sigma)/4"}))
    report = check(tmp_path, "wrong", PHOTOGRAPH, CPU)
    assert not report.passed
    failed = {verdict.what for verdict in report.verdicts if not verdict.passed}
    assert failed & {"slope", "calibration", "denoising"}


def test_answers_that_are_no_pictures_fail() -> None:
    prior = load_prior(BUNDLED_PRIORS, NAME, CPU)
    prior.denoise = lambda x, sigma: x * torch.nan
    scores, inpainted, (verdict,) = measure(prior, cut_crops(PHOTOGRAPH, 64))
    assert (scores, inpainted, verdict.passed) == ([], None, False)
    assert "not finite" in verdict.why


def test_only_levels_that_the_prior_knows_are_asked(models: Path) -> None:
    manifest = models / "tiny" / "prior.json"
    for low, high, levels in ((0.1, 0.5, 3), (0.21, 0.22, 1)):
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"sigma_min": low, "sigma_max": high}))
        scores = check(models, "tiny", PHOTOGRAPH, CPU).levels
        assert len(scores) == levels
        assert all(low <= score.sigma <= high for score in scores)


def test_a_latent_prior_is_told_the_picture(tmp_path: Path) -> None:
    from priors.adoption import adopt

    adopt(write_pipeline(tmp_path / "sd"), licence="MIT")
    report = check(tmp_path, "sd", PHOTOGRAPH, CPU)
    assert report.inpainting is None and len(report.levels) > 3
    assert "of a prior on latents nothing else is checked" in report.verdicts[-1].why


def test_wrong_weights_are_no_report(models: Path) -> None:
    weights = models / "tiny" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(PriorError, match="has the SHA-256"):
        check(models, "tiny", PHOTOGRAPH, CPU)


def test_a_device_that_cannot_is_told(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(module, "evaluate", fail)
    with pytest.raises(PriorError, match="tiny cannot be run on cpu: out of memory"):
        check(models, "tiny", PHOTOGRAPH, CPU)


def save(path: Path, height: int, width: int) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)).save(path)


def test_crops_are_squares_of_different_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROPS", 4)
    for index in range(3):
        save(tmp_path / f"{index}.png", 70, 100 + index)
    Image.new("RGB", (64, 64), "blue").save(tmp_path / "flat.png")
    save(tmp_path / "small.png", 20, 300)
    crops = cut_crops(tmp_path, 32)
    assert [crop.shape for crop in crops] == [(1, 3, 32, 32)] * 4
    assert all(crop.min() >= -1 and crop.max() <= 1 for crop in crops)
    assert not any(torch.equal(a, b) for i, a in enumerate(crops) for b in crops[:i])


def test_what_gives_no_crop_is_told(tmp_path: Path) -> None:
    with pytest.raises(PriorError, match="has no photograph of at least 32 x 32"):
        cut_crops(tmp_path / "absent", 32)
    save(tmp_path / "small.png", 20, 300)
    with pytest.raises(PriorError, match="has no photograph of at least 32 x 32"):
        cut_crops(tmp_path, 32)
    (tmp_path / "torn.png").write_bytes(b"\x89PNG")
    with pytest.raises(PriorError, match="torn.png cannot be read as a photograph"):
        cut_crops(tmp_path, 32)


def test_memory_is_in_bytes() -> None:
    assert 2**24 < peak_memory(CPU) < 2**40
