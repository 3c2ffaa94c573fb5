"""The body of a job, with a real engine, a real store and priors whose answers are known."""

import asyncio
import hashlib
import io
import json
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from structlog.testing import capture_logs

from priors.adoption import adopt
from priors.manifest import read_manifest
from priors.shelf import Shelf
from priors.store import load_prior as prior_on_disk
from priors.weights import WEIGHTS
from service.queue.base import WorkerBroken
from service.restoration import facts_of
from service.settings import BUNDLED_PRIORS
from service.storage import input_key
from solvers.calibration import FILE as CALIBRATION
from solvers.calibration import Calibration, write_calibrations
from solvers.noise_weights import FILE as NOISE_READING
from tests.priors.latents import write_pipeline
from tests.service.bench import LIMIT_S, MASK, PIXELS, Bench, png


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.engine.stop(drain=False)


def test_inpainting_keeps_what_is_known_and_fills_the_hole(bench: Bench) -> None:
    result = bench.run(bench.claim("inpaint", png(PIXELS), png(MASK), noise={"sigma": 0.02}))
    picture = bench.picture(result)
    assert (picture[MASK == 0] == PIXELS[MASK == 0]).all()
    # the prior knows each pixel on its own, as N(0, 0.25) on [-1, 1]: what is not measured is mid-grey
    assert np.abs(picture[MASK == 255].astype(int) - 128).mean() < 10
    metrics = result["metrics"]
    assert metrics["known_pixels_equal"] is True
    assert metrics["unknown_fraction"] == pytest.approx((MASK > 0).mean())
    assert metrics["noise_sigma_estimated"] is None


def test_a_prior_on_latents_keeps_what_is_known_too(tmp_path: Path) -> None:
    """From its folder, in tiles of 16 pixels, through a decoder that gives nothing back as it was."""
    adopt(write_pipeline(tmp_path / "models" / "sd"), licence="MIT")
    bench = Bench(tmp_path, lambda name: prior_on_disk(tmp_path / "models", name, torch.device("cpu")))
    digest = hashlib.sha256((tmp_path / "models" / "sd" / "unet" / WEIGHTS).read_bytes()).hexdigest()
    claim = bench.claim("inpaint", png(PIXELS), png(MASK), prior="sd", prior_digest=digest, params={"steps": 6})
    result = bench.run(claim)
    bench.engine.stop(drain=False)
    picture = bench.picture(result)
    assert (picture[MASK == 0] == PIXELS[MASK == 0]).all()
    assert (picture[MASK == 255] != PIXELS[MASK == 255]).any()
    assert result["timings"]["denoiser_calls"] == 6


@pytest.mark.parametrize(("declared", "used"), [("mirror", "mirror"), ("dihedral", "dihedral"), (None, "none")])
def test_the_picture_is_turned_only_as_the_prior_was_trained(bench: Bench, declared: str | None, used: str) -> None:
    if declared:
        fields = {
            "kind": "pixel",
            "parameterisation": "edm",
            "size_multiple": 8,
            "trained_size": 64,
            "sha256": "ab" * 32,
        }
        fields |= {"sigma_min": 0.01, "sigma_max": 80.0, "licence": "CC0", "symmetries": declared}
        (bench.models_dir / "gaussian").mkdir(parents=True)
        (bench.models_dir / "gaussian" / "prior.json").write_text(json.dumps(fields))
    result = bench.run(bench.claim("denoise", png(PIXELS), noise={"sigma": 0.1}))
    assert result["parameters"]["symmetry"] == used


def test_known_pixels_are_denoised_on_request(bench: Bench) -> None:
    claim = bench.claim("inpaint", png(PIXELS), png(MASK), noise={"sigma": 0.2}, known_pixels="denoise")
    result = bench.run(claim)
    assert result["metrics"]["known_pixels_equal"] is None
    assert (bench.picture(result)[MASK == 0] != PIXELS[MASK == 0]).any()


def test_a_hole_in_the_alpha_is_filled_and_opaque(bench: Bench) -> None:
    source = np.dstack([PIXELS, 255 - MASK])
    picture = bench.picture(bench.run(bench.claim("inpaint", png(source), mask_mode="alpha_unknown")))
    assert (picture[..., 3] == 255).all()
    assert (picture[MASK == 0, :3] == PIXELS[MASK == 0]).all()


def test_denoising_gives_the_posterior_mean(bench: Bench) -> None:
    sigma01 = 0.1
    result = bench.run(bench.claim("denoise", png(PIXELS), noise={"sigma": sigma01}, preset="quality"))
    y = PIXELS / 127.5 - 1
    exact = y * 0.25 / (0.25 + (2 * sigma01) ** 2)
    np.testing.assert_allclose(bench.picture(result) / 127.5 - 1, exact, atol=0.06)
    assert result["metrics"]["data_residual"] > 0


def test_super_resolution_gives_the_stated_size(bench: Bench) -> None:
    result = bench.run(bench.claim("super_resolution", png(PIXELS), scale=3))
    (artifact,) = result["artifacts"]
    assert (artifact["width"], artifact["height"]) == (141, 99)
    assert bench.picture(result).shape == (99, 141, 3)


def test_the_receipt_says_how_the_picture_was_made(bench: Bench) -> None:
    result = bench.run(bench.claim("denoise", png(PIXELS), params={"steps": 6}))
    assert result["parameters"]["steps"] == 6
    assert result["timings"]["denoiser_calls"] == 6
    assert result["metrics"]["noise_sigma_estimated"] > 0.1
    assert result["worker"] == {"device": "cpu", "precision": "float32"}
    (artifact,) = result["artifacts"]
    assert artifact["bytes"] == len(bench.storage.get(artifact["key"]))


def test_equal_claims_give_equal_bytes(bench: Bench) -> None:
    first, again, other = (
        bench.run(bench.claim("inpaint", png(PIXELS), png(MASK), attempt=attempt, seed=seed, params={"steps": 5}))
        for attempt, seed in ((1, 1), (2, 1), (3, 2))
    )
    assert first["artifacts"][0]["sha256"] == again["artifacts"][0]["sha256"]
    assert first["artifacts"][0]["key"] != again["artifacts"][0]["key"]
    assert other["artifacts"][0]["key"] != again["artifacts"][0]["key"]


def test_progress_and_previews(bench: Bench) -> None:
    bench.run(bench.claim("denoise", png(PIXELS), params={"steps": 6}, preview={"every": 2}))
    bench.restorer.pictures.shutdown(wait=True)
    progress = bench.notes.of("progress")
    assert [line["step"] for line in progress] == [0, 1, 2, 3, 4, 5, 6]
    assert all(line["total_steps"] == 6 and line["fraction"] == line["step"] / 6 for line in progress)
    assert all(line["sigma"] > 0 for line in progress[:-1])
    assert sorted(line["step"] for line in bench.notes.of("preview")) == [2, 4]
    for line in bench.notes.of("preview"):
        assert Image.open(io.BytesIO(bench.storage.get(line["key"]))).size == (47, 33)


def test_a_preview_that_cannot_be_stored_is_logged_and_costs_nothing_else(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = bench.storage.put

    def full(key: str, data: bytes) -> str:
        if "preview" in key:
            raise OSError("no space left on device")
        return put(key, data)

    monkeypatch.setattr(bench.storage, "put", full)
    with capture_logs() as lines:
        bench.run(bench.claim("denoise", png(PIXELS), params={"steps": 6}, preview={"every": 2}))
        bench.restorer.pictures.shutdown(wait=True)
    assert sorted(line["step"] for line in lines if line["event"] == "preview was not stored") == [2, 4]
    assert bench.notes.of("preview") == []


def test_a_number_that_is_not_finite_ends_the_job(bench: Bench) -> None:
    problem = bench.failure(bench.claim("denoise", png(PIXELS), prior="nan"))
    assert problem["code"] == "solver_diverged"
    assert "step 0" in problem["detail"]


def test_a_prior_that_cannot_be_loaded_ends_the_job(bench: Bench) -> None:
    assert bench.failure(bench.claim("denoise", png(PIXELS), prior="missing"))["code"] == "prior_load_failed"


def test_a_prior_that_was_replaced_ends_the_job(bench: Bench) -> None:
    problem = bench.failure(bench.claim("denoise", png(PIXELS), prior_digest="ab" * 32))
    assert problem["code"] == "prior_load_failed"
    assert "abababababab.. are gone" in problem["detail"]


def test_what_a_job_waited_for_its_prior_is_in_its_timings(bench: Bench) -> None:
    cold, warm = (bench.run(bench.claim("denoise", png(PIXELS), params={"steps": 2}))["timings"] for _ in range(2))
    assert cold["load_s"] > 0 == warm["load_s"]


def test_a_job_that_does_not_fit_ends_alone(bench: Bench) -> None:
    assert bench.failure(bench.claim("denoise", png(PIXELS), prior="huge"))["code"] == "out_of_memory"
    bench.run(bench.claim("denoise", png(PIXELS), params={"steps": 2}))


def test_a_deadline_ends_the_job_between_two_steps(bench: Bench) -> None:
    claim = bench.claim("denoise", png(PIXELS), prior="slow", params={"steps": 1000}, deadline_at=time.time() + 0.5)
    assert bench.failure(claim)["code"] == "deadline_exceeded"


def test_inputs_that_are_gone_or_damaged_end_the_job(bench: Bench) -> None:
    claim = bench.claim("denoise", png(PIXELS))
    key = input_key(claim.request["image"]["sha256"])
    bench.storage.put(key, b"no picture")
    assert bench.failure(claim)["code"] == "input_decode_failed"
    bench.storage.delete(key)
    assert bench.failure(claim)["code"] == "input_decode_failed"


def test_cancelling_stops_the_solver(bench: Bench) -> None:
    claim = bench.claim("denoise", png(PIXELS), prior="slow", params={"steps": 1000})

    async def cancelled_while_running() -> None:
        task = asyncio.create_task(bench.restorer.run(claim))
        while not bench.notes.of("progress"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(cancelled_while_running(), LIMIT_S))
    deadline = time.monotonic() + LIMIT_S
    while bench.engine.cancel(claim.id) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not bench.engine.cancel(claim.id)


def test_a_stopped_engine_gives_the_job_back(bench: Bench) -> None:
    claim = bench.claim("denoise", png(PIXELS), prior="slow", params={"steps": 1000})

    async def stopped_while_running() -> None:
        task = asyncio.create_task(bench.restorer.run(claim))
        while not bench.notes.of("progress"):
            await asyncio.sleep(0.01)
        await asyncio.to_thread(bench.engine.stop, False)
        with pytest.raises(WorkerBroken):
            await task

    asyncio.run(asyncio.wait_for(stopped_while_running(), LIMIT_S))


@pytest.mark.parametrize("damaged", [CALIBRATION, NOISE_READING])
def test_what_is_damaged_beside_a_prior_hides_nothing_else(tmp_path: Path, damaged: str) -> None:
    """A bundled denoiser with both files, one of which is cut short."""
    folder, digest = tmp_path / "d", read_manifest(BUNDLED_PRIORS / "denoiser-v4").digest
    shutil.copytree(BUNDLED_PRIORS / "denoiser-v4", folder)
    write_calibrations(folder, digest, {"denoise": Calibration(2.0)})
    request = {"prior": "d", "prior_digest": digest, "params": {}}
    whole = facts_of(Shelf(tmp_path), request)
    assert whole.calibrations["denoise"].measured and whole.reading is not None
    (folder / damaged).write_text((folder / damaged).read_text()[:-9])
    facts = facts_of(Shelf(tmp_path), request)
    assert facts.symmetry == whole.symmetry == "dihedral"
    assert (facts.calibrations["denoise"].measured, facts.reading is None) == (
        (False, False) if damaged == CALIBRATION else (True, True)
    )


def test_a_photograph_is_read_with_the_denoiser_of_the_job(tmp_path: Path) -> None:
    """Two rows more than its sweeps take."""
    bench = Bench(tmp_path, lambda name: prior_on_disk(BUNDLED_PRIORS, name, torch.device("cpu")))
    digest = read_manifest(BUNDLED_PRIORS / "denoiser-v4").digest
    noisy = np.clip(PIXELS + np.random.default_rng(0).normal(0, 30, PIXELS.shape), 0, 255).astype(np.uint8)
    claim = bench.claim("denoise", png(noisy), solver="score_dvi", prior="denoiser-v4", prior_digest=digest)
    result = bench.run(claim)
    bench.engine.stop(drain=False)
    assert result["timings"]["denoiser_calls"] == result["metrics"]["sweeps"] + 1
