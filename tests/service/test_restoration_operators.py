"""Jobs with any operator, samples and uncertainty; operators alone. Priors whose answers are known."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from service.imaging import observed_at
from service.operators import STORED
from tests.service.bench import MASK, PIXELS, Bench, png

BOX = {"kind": "blur", "kernel": {"kind": "box", "size": 3}, "boundary": "zero"}
HALF = {"kind": "downsample", "scale": 2, "kernel": "box"}
FEW = {"solver": "diffpir", "params": {"steps": 3}, "noise": {"sigma": 0.02}}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.engine.stop(drain=False)


def size(result: dict[str, Any], name: str = "result") -> tuple[int, int]:
    (entry,) = (each for each in result["artifacts"] if each["name"] == name)
    return entry["width"], entry["height"]


def test_a_known_blur_is_undone(bench: Bench) -> None:
    """With hardly any noise, the picture is closer to the sharp one than the blurred one was."""
    sharp = np.zeros((32, 40, 3), np.uint8)
    sharp[8:24, 10:30] = 200
    blurred = bench.picture(bench.run(bench.application(png(sharp), operator=BOX)))
    claim = bench.claim("deblur", png(blurred), kernel=BOX["kernel"], boundary="zero", noise={"sigma": 0.002})
    restored = bench.picture(bench.run(claim))
    before, after = (np.abs(picture.astype(float) - sharp).mean() for picture in (blurred, restored))
    assert after < 0.5 * before


def test_the_size_follows_from_the_operator(bench: Bench) -> None:
    operator = {"kind": "compose", "operators": [BOX, HALF]}
    result = bench.run(bench.claim("restore", png(PIXELS), operator=operator, **FEW))
    assert size(result) == (94, 66)
    assert result["parameters"]["steps"] == 3
    assert result["timings"]["denoiser_calls"] == 3


def test_a_grey_measurement_becomes_a_picture_with_colours(bench: Bench) -> None:
    result = bench.run(bench.claim("restore", png(PIXELS[..., 0]), operator={"kind": "grey"}, **FEW))
    picture = bench.picture(result)
    assert picture.shape == (33, 47, 3)
    brightness = picture.astype(float).mean(2)
    assert np.corrcoef(brightness.ravel(), PIXELS[..., 0].ravel())[0, 1] > 0.9


def test_what_is_not_linear_is_restored(bench: Bench) -> None:
    result = bench.run(bench.claim("restore", png(PIXELS), operator={"kind": "clip", "gain": 2}, solver="red_diff"))
    assert bench.picture(result).shape == PIXELS.shape


@pytest.mark.parametrize("solver", ["red_diff", "dps", "pigdm", "ddnm", "diffpir", "daps"])
def test_every_solver_restores_and_gives_samples(bench: Bench, solver: str) -> None:
    claim = bench.claim(
        "restore", png(PIXELS), operator=HALF, solver=solver, params={"steps": 2}, num_samples=2, noise={"sigma": 0.05}
    )
    result = bench.run(claim)
    assert [each["name"] for each in result["artifacts"]] == ["result", "sample_0", "sample_1"]
    assert size(result, "sample_1") == (94, 66)
    assert (bench.picture(result, "sample_0") != bench.picture(result, "sample_1")).any()


def test_uncertainty_is_a_picture_and_numbers(bench: Bench) -> None:
    claim = bench.claim("inpaint", png(PIXELS), png(MASK), uncertainty={"samples": 4}, params={"steps": 4})
    result = bench.run(claim)
    assert [each["name"] for each in result["artifacts"]] == ["result", "uncertainty", "uncertainty_raw"]
    raw = np.load(io.BytesIO(bench.content(result, "uncertainty_raw")), allow_pickle=False)
    assert (raw.dtype, raw.shape) == (np.float32, (33, 47, 3))
    assert (raw[MASK == 0] == 0).all()  # known pixels come back as they were
    assert (raw[MASK == 255] > 0).all()
    shown, scale = bench.picture(result, "uncertainty"), result["metrics"]["uncertainty_scale"]
    assert shown.shape == (33, 47)
    assert scale == pytest.approx(np.sqrt((raw**2).mean(2)).max(), rel=1e-5)
    np.testing.assert_allclose(shown / 255 * scale, np.sqrt((raw**2).mean(2)), atol=scale / 500)
    assert result["metrics"]["uncertainty_calibrated"] == 0


def test_samples_without_uncertainty_have_no_map(bench: Bench) -> None:
    result = bench.run(bench.claim("super_resolution", png(PIXELS), num_samples=1, params={"steps": 2}))
    assert [each["name"] for each in result["artifacts"]] == ["result", "sample_0"]


def test_an_operator_that_cannot_be_built_ends_the_job(bench: Bench) -> None:
    operator = {"kind": "mask", "pattern": {"kind": "random", "missing": 1 - 1e-12}}
    problem = bench.failure(bench.claim("restore", png(PIXELS), operator=operator, **FEW))
    assert problem["code"] == "operator_invalid"


def test_an_operator_alone(bench: Bench) -> None:
    """The mean of 3 x 3 on the [-1, 1] scale, mid-grey beyond the border."""
    result = bench.run(bench.application(png(PIXELS), operator=BOX))
    x = torch.from_numpy(PIXELS.copy()).double().permute(2, 0, 1)[None] / 127.5 - 1
    mean = torch.nn.functional.avg_pool2d(x, 3, 1, 1)[0].permute(1, 2, 0)
    np.testing.assert_allclose(bench.picture(result) / 127.5 - 1, mean, atol=1 / 127)
    assert bench.notes.of("started")[0]["attempt"] == 1


def test_an_operator_there_and_back(bench: Bench) -> None:
    small = bench.run(bench.application(png(PIXELS[:32, :46]), operator=HALF))
    assert size(small) == (23, 16)
    back = bench.run(bench.application(bench.content(small, "result"), operator=HALF, direction="pseudoinverse"))
    assert size(back) == (46, 32)
    again = bench.run(bench.application(bench.content(back, "result"), operator=HALF))
    np.testing.assert_allclose(bench.picture(again).astype(int), bench.picture(small), atol=1)


def test_the_adjoint_of_the_mean_spreads_it(bench: Bench) -> None:
    back = bench.run(bench.application(png(PIXELS[:20, :20]), operator=HALF, direction="adjoint"))
    x = PIXELS[:20, :20].repeat(2, 0).repeat(2, 1) / 127.5 - 1
    np.testing.assert_allclose(bench.picture(back) / 127.5 - 1, x / 4, atol=1 / 127)


def test_noise_has_its_level_and_its_seed(bench: Bench) -> None:
    flat = png(np.full((64, 64, 3), 128, np.uint8))
    identity = {"kind": "identity"}
    options = {"operator": identity, "noise": {"sigma": 0.1}, "output": {"bit_depth": "16", "format": "png"}}
    one, two, other = (bench.run(bench.application(flat, seed=seed, **options)) for seed in (1, 1, 2))
    assert one["artifacts"][0]["sha256"] == two["artifacts"][0]["sha256"] != other["artifacts"][0]["sha256"]
    assert bench.picture(bench.run(bench.application(flat, operator=identity, noise={"sigma": 0.1}))).std() / 255 == (
        pytest.approx(0.1, rel=0.05)
    )


def test_lost_colours_give_a_grey_file(bench: Bench) -> None:
    result = bench.run(bench.application(png(PIXELS), operator={"kind": "grey"}))
    picture = Image.open(io.BytesIO(bench.content(result, "result")))
    assert picture.mode == "L"
    np.testing.assert_allclose(np.asarray(picture), PIXELS.mean(2), atol=1)


def test_a_mask_of_the_store_is_read_as_its_words_say(bench: Bench) -> None:
    known = observed_at(png(MASK), 47, 33, mode="white_unknown", threshold=0.5, grow=1, limits=STORED)
    claim = bench.application(png(PIXELS), operator={"kind": "mask", "mask": {"file_id": "x"}, "grow_mask": 1})
    claim.request["operator"]["mask"] = {"sha256": bench.storage.put_input(png(MASK))}
    picture = bench.picture(bench.run(claim))
    assert (picture[known] == PIXELS[known]).all()
    assert (np.abs(picture[~known].astype(int) - 128) <= 1).all()  # 0 on the [-1, 1] scale


def test_a_chain_that_is_not_linear_is_restored(bench: Bench) -> None:
    """Blurred, shrunk, and through a JPEG file."""
    operator = {"kind": "compose", "operators": [BOX, HALF, {"kind": "jpeg", "quality": 50}]}
    small = bench.run(bench.application(png(PIXELS[:32, :46]), operator=operator))
    assert size(small) == (23, 16)
    measurement = bench.content(small, "result")
    for solver in ("red_diff", "dps"):
        claim = bench.claim(
            "restore",
            measurement,
            operator=operator,
            solver=solver,
            params={"steps": 3},
            noise={"sigma": 0.01},
        )
        assert size(bench.run(claim)) == (46, 32)
