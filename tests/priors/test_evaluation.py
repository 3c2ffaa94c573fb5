"""The measuring of priors, on priors whose exact error is known."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from priors.analytic import GaussianPrior
from priors.evaluation import LEVELS, denoise_full, denoise_tiled, evaluate, main, psnr, read_image
from priors.store import load_prior


def gaussian_images(count: int, variance: float) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [variance**0.5 * torch.randn(1, 3, 90, 70, generator=generator) for _ in range(count)]


@pytest.mark.parametrize("sizes", [(64,), None])
def test_scores_of_the_exact_denoiser(sizes: tuple[int, ...] | None) -> None:
    """Variance c of the images, s of the noise: error c s / (c + s); energy and slope of the residual s / (c + s)."""
    variance = 0.04
    for score in evaluate(GaussianPrior(variance), gaussian_images(3, variance), (0.1, 0.4), sizes, seed=5):
        noise = score.sigma**2
        error = variance * noise / (variance + noise)
        assert score.sigma_255 == pytest.approx(127.5 * score.sigma)
        assert score.psnr_noisy == pytest.approx(10 * math.log10(4 / noise), abs=0.1)
        assert score.psnr == pytest.approx(10 * math.log10(4 / error), abs=0.1)
        assert score.slope == pytest.approx(noise / (variance + noise), abs=0.01)
        assert score.calibration == pytest.approx(math.sqrt(noise / (variance + noise)), abs=0.01)


def test_the_seed_decides_the_noise() -> None:
    images = gaussian_images(1, 0.04)
    first, again, other = (evaluate(GaussianPrior(0.04), images, (0.1,), None, seed) for seed in (1, 1, 2))
    assert first == again and first != other


def test_tiles_and_full_frames_agree_for_a_pointwise_denoiser() -> None:
    x = gaussian_images(1, 1.0)[0]
    tiled, full = denoise_tiled(GaussianPrior(0.3), x, 0.5, (64,)), denoise_full(GaussianPrior(0.3), x, 0.5)
    torch.testing.assert_close(tiled, full, rtol=0, atol=1e-5)


def test_full_frames_of_a_network_take_any_size(models: Path) -> None:
    prior = load_prior(models, "tiny", torch.device("cpu"))
    assert denoise_full(prior, gaussian_images(1, 1.0)[0][..., :67], 0.5).shape == (1, 3, 90, 67)


def test_batches_of_tiles_equal_single_tiles(models: Path) -> None:
    prior, x = load_prior(models, "tiny", torch.device("cpu")), gaussian_images(1, 1.0)[0]
    torch.testing.assert_close(denoise_tiled(prior, x, 0.5, (64,), batch=3), denoise_tiled(prior, x, 0.5, (64,), 1))


def test_psnr_has_the_peak_of_the_scale() -> None:
    assert psnr(torch.full((4,), 0.2), torch.zeros(4)) == pytest.approx(20.0)


def test_reads_the_centre_of_a_picture(tmp_path: Path) -> None:
    pixels = np.zeros((10, 7, 3), dtype=np.uint8)
    pixels[3:7, 1:5] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", max_side=4)
    assert torch.equal(image, torch.ones(1, 3, 4, 4))
    assert read_image(tmp_path / "a.png", max_side=500).shape == (1, 3, 10, 7)


def test_command_writes_what_it_prints(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "set").mkdir()
    for index in range(3):
        Image.effect_noise((40, 24), 60).convert("RGB").save(tmp_path / "set" / f"{index}.png")
    main(["--models", str(models), "--prior", "tiny", "--images", str(tmp_path / "set"), "--every", "2"])
    report = json.loads((models / "tiny" / "evaluation-set.json").read_text())
    assert (report["prior"], report["images"], report["count"]) == ("tiny", "set", 2)
    assert report["sha256"] == json.loads((models / "tiny" / "prior.json").read_text())["sha256"]
    assert [level["sigma"] for level in report["levels"]] == pytest.approx(LEVELS, abs=1e-6)
    printed = capsys.readouterr().out
    assert all(f"{level['psnr']:.2f}" in printed for level in report["levels"])


def test_a_folder_without_pictures_is_a_clear_error(models: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no pictures found"):
        main(["--models", str(models), "--prior", "tiny", "--images", str(tmp_path / "absent")])
