"""Jobs of ScoreDVI: the picture, what is told of each pixel, and what is told of the noise."""

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from priors.manifest import PriorError
from service.queue.base import Claim, Json
from solvers.window import gaussian_sums
from tests.service.api import MANIFEST
from tests.service.bench import Bench, png
from tests.service.smooth_prior import SmoothPrior, pixels

PRIOR = SmoothPrior()
SIDE = 128
SCENE = PRIOR.scene01(SIDE, SIDE)
SIGMA01 = 0.08
RNG = np.random.default_rng(0)
NOISE = SIGMA01 * RNG.standard_normal((SIDE, SIDE, 3))
COLOUR, GREY = pixels(SCENE + NOISE), pixels(SCENE + NOISE[..., :1]).repeat(3, axis=2)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, lambda name: PRIOR)
    yield bench
    bench.engine.stop(drain=False)


def denoise(bench: Bench, image: bytes, **options: Any) -> Json:
    return bench.run(bench.claim("denoise", image, solver="score_dvi", **options))


def numbers(bench: Bench, result: Json, name: str) -> np.ndarray:
    return np.load(io.BytesIO(bench.content(result, name)))


class Counted:
    """A prior that counts the rows it answers."""

    def __init__(self, prior: SmoothPrior):
        self.prior, self.info, self.rows = prior, prior.info, 0

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.rows += len(x)
        return self.prior.denoise(x, sigma)


def write_manifest(folder: Path, symmetries: str) -> None:
    folder.mkdir(parents=True)
    (folder / "prior.json").write_text(json.dumps(MANIFEST | {"symmetries": symmetries}))


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def names(result: Json) -> list[str]:
    return [each["name"] for each in result["artifacts"]]


def test_the_picture_comes_with_its_deviation_and_the_noise_of_each_pixel(bench: Bench) -> None:
    result = denoise(bench, png(COLOUR))
    assert names(result) == ["result", "uncertainty", "uncertainty_raw", "noise_map", "noise_map_raw"]
    metrics = result["metrics"]
    assert metrics["noise_sigma_estimated"] == pytest.approx(SIGMA01, rel=0.1)
    assert metrics["noise_b8"] > 0 and metrics["sweeps"] > 0 and metrics["clean"] is False
    assert "noise_sigma" not in metrics  # on another scale
    assert rms(bench.picture(result) / 255 - SCENE) < 0.4 * SIGMA01
    for name in ("uncertainty", "noise_map"):
        values, shown = numbers(bench, result, f"{name}_raw"), bench.picture(result, name)
        assert (values.dtype, values.shape, shown.shape) == (np.float32, (SIDE, SIDE, 3), (SIDE, SIDE))
        of_pixels = np.sqrt(np.square(values).mean(2))
        assert metrics[f"{name}_scale"] == pytest.approx(of_pixels.max())
        assert metrics[f"{name}_rms"] == pytest.approx(rms(values))
        np.testing.assert_allclose(
            shown / 255 * metrics[f"{name}_scale"], of_pixels, atol=metrics[f"{name}_scale"] / 250
        )
    assert metrics["uncertainty_rms"] == pytest.approx(PRIOR.deviation_of(SIDE, SIDE, 2 * SIGMA01) / 2, rel=0.1)
    assert metrics["noise_map_rms"] == pytest.approx(SIGMA01, rel=0.1)


def test_the_receipt_says_how_it_was_made(bench: Bench) -> None:
    result = denoise(bench, png(COLOUR), params={"sweeps": 2, "symmetry": "mirror"})
    used = result["parameters"]
    assert (used["mode"], used["sweeps"], used["symmetry"]) == ("fast", 2, "mirror")
    assert used["beta0"] > 0 and used["prior_weight"] > 0  # as the noise decided
    assert result["timings"]["denoiser_calls"] == result["metrics"]["sweeps"] == 2
    again = denoise(bench, png(COLOUR), params={"sweeps": 2, "symmetry": "mirror"}, attempt=2)
    assert [each["sha256"] for each in again["artifacts"]] == [each["sha256"] for each in result["artifacts"]]


@pytest.mark.parametrize("noise", ["auto", {"sigma": SIGMA01}])
def test_a_grey_photograph_is_one_measurement_not_three(bench: Bench, noise: Any) -> None:
    """Its three equal channels weigh as one: the answer is the mean of the exact posterior, grey again."""
    result = denoise(bench, png(GREY), noise=noise)
    picture = bench.picture(result) / 255
    assert np.ptp(picture, axis=2).max() <= 4 / 255
    y = torch.from_numpy(GREY / 127.5 - 1).permute(2, 0, 1)[None].float()
    exact, thrice = (PRIOR.denoise(y, torch.tensor([2 * SIGMA01 * raised]))[0, 0].numpy() for raised in (3**0.5, 1))
    found = 2 * picture[..., 0] - 1
    assert rms(found - exact) < 0.5 * rms(thrice - exact)
    assert rms(picture - SCENE) < 0.4 * SIGMA01
    metrics = result["metrics"]
    deviation = PRIOR.deviation_of(SIDE, SIDE, 2 * SIGMA01 * 3**0.5) / 2
    assert metrics["uncertainty_rms"] == pytest.approx(deviation, rel=0.25)
    assert metrics["noise_map_rms"] == pytest.approx(SIGMA01, rel=0.1)
    if noise == "auto":
        assert metrics["noise_sigma_estimated"] == pytest.approx(SIGMA01, rel=0.1)
    else:
        assert metrics["noise_sigma_estimated"] is None


class Tinting(SmoothPrior):
    """Answers a little too warm, as a network does that has seen warm pictures."""

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        return super().denoise(x, sigma) + torch.tensor([0.05, 0.0, -0.05]).to(x).reshape(1, 3, 1, 1)


def test_a_photograph_without_colours_gets_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda name: Tinting())
    try:
        grey = bench.picture(denoise(bench, png(GREY))).astype(int)
        coloured = bench.picture(denoise(bench, png(COLOUR))).astype(int)
    finally:
        bench.engine.stop(drain=False)
    assert (grey == grey[..., :1]).all()
    assert np.mean(coloured[..., 0] - coloured[..., 2]) > 2  # the prior does tint


def test_a_grey_file_stays_one(bench: Bench) -> None:
    picture = bench.picture(denoise(bench, png(GREY[..., 0])))
    assert picture.shape == (SIDE, SIDE)
    assert rms(picture / 255 - SCENE[..., 0]) < 0.4 * SIGMA01


@pytest.mark.parametrize("grey", [False, True])
def test_a_clean_picture_comes_back_as_it_was(bench: Bench, grey: bool) -> None:
    clean = pixels(SCENE * ([1, 1, 1] if grey else [1, 0.9, 0.8]))
    result = denoise(bench, png(clean), uncertainty={"samples": 4})
    assert names(result) == ["result"]
    assert (bench.picture(result) == clean).all()
    metrics = result["metrics"]
    assert metrics["clean"] is True
    assert metrics["noise_sigma_estimated"] < 0.01
    assert not any(name.startswith(("uncertainty", "noise_map")) for name in metrics)
    assert result["timings"]["denoiser_calls"] == 0


def test_the_noise_of_a_camera_is_found_where_it_is(bench: Bench) -> None:
    """Correlated over neighbours, and three times as strong in the right half as in the left one."""
    white = torch.from_numpy(RNG.standard_normal((1, 3, SIDE, SIDE)))
    spread = gaussian_sums(white, 1.0)
    local = np.where(np.arange(SIDE) < SIDE // 2, 0.04, 0.12)[None, :, None]
    noise = local * (spread / spread.std())[0].permute(1, 2, 0).numpy()
    result = denoise(bench, png(pixels(SCENE + noise)))
    assert rms(bench.picture(result) / 255 - SCENE) < 0.8 * rms(noise)
    noise_map = numbers(bench, result, "noise_map_raw")
    left, right = rms(noise_map[:, : SIDE // 2 - 4]), rms(noise_map[:, SIDE // 2 + 4 :])
    assert right > 1.05 * left
    assert result["metrics"]["noise_b8"] > 4
    assert result["metrics"]["sweeps"] >= 2


def test_alpha_and_16_bits_are_kept(bench: Bench) -> None:
    alpha = np.arange(SIDE**2, dtype=np.uint16).reshape(SIDE, SIDE) % 256
    rgba = bench.picture(denoise(bench, png(np.dstack([COLOUR, alpha.astype(np.uint8)]))))
    assert (rgba[..., 3] == alpha).all()
    buffer = io.BytesIO()
    Image.fromarray(GREY[..., 0].astype(np.uint16) * 257).save(buffer, "png")
    deep = bench.picture(denoise(bench, buffer.getvalue(), attempt=2))
    assert deep.dtype == np.uint16 or deep.max() > 255
    assert rms(deep / 65535 - SCENE[..., 0]) < 0.4 * SIGMA01


def mixed(bench: Bench, **options: Any) -> Claim:
    params = {"components": ["rough"], "beta0": 0.05, "sweeps": 3, "tolerance": 0.0}
    return bench.claim("denoise", png(COLOUR), prior="smooth", solver="score_dvi", params=params, **options)


def test_a_mixture_asks_all_its_denoisers(tmp_path: Path) -> None:
    priors = {"smooth": Counted(PRIOR), "rough": Counted(SmoothPrior("rough", 0.6))}
    bench = Bench(tmp_path, priors.__getitem__)
    result = bench.run(mixed(bench))
    bench.engine.stop(drain=False)
    assert result["timings"]["denoiser_calls"] == 6
    assert {name: prior.rows for name, prior in priors.items()} == {"smooth": 1 + 6, "rough": 1 + 6}  # 1 to warm it up
    assert result["parameters"]["components"] == 2


@pytest.mark.parametrize(("digest", "why"), [("", "its digest is wrong"), ("ab" * 32, "are gone")])
def test_a_mixture_of_which_one_is_missing_or_another_ends_the_job(tmp_path: Path, digest: str, why: str) -> None:
    def load(name: str) -> SmoothPrior:
        if name == "rough" and not digest:
            raise PriorError("its digest is wrong")
        return SmoothPrior(name)

    bench = Bench(tmp_path, load)
    problem = bench.failure(mixed(bench, component_digests=[digest]))
    bench.engine.stop(drain=False)
    assert problem["code"] == "prior_load_failed"
    assert "the prior rough could not be loaded" in problem["detail"] and why in problem["detail"]


def test_a_mixture_is_turned_as_all_its_denoisers_were_trained(bench: Bench) -> None:
    for name, symmetries in (("smooth", "dihedral"), ("rough", "mirror")):
        write_manifest(bench.models_dir / name, symmetries)
    assert bench.run(mixed(bench))["parameters"]["symmetry"] == "mirror"
    assert denoise(bench, png(COLOUR), prior="smooth", attempt=2)["parameters"]["symmetry"] == "dihedral"
