"""Jobs whose measurement is no picture: magnitudes, compressed measurements. Priors whose answers are known."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from priors.analytic import GaussianPrior
from service.arrays import npy_bytes
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators.phase import PhaseRetrieval
from solvers.presets import preset
from solvers.query import Problem
from solvers.red_diff import red_diff
from tests.pictures import smooth
from tests.service.bench import Bench, png

PHASE = {"kind": "phase", "oversampling": 4.0}
MATRIX = {"kind": "matrix", "width": 2, "height": 1, "output_width": 1, "output_height": 1}
AS_ARRAY = {"output": {"format": "npy"}}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.engine.stop(drain=False)


def array(bench: Bench, result: dict[str, Any]) -> np.ndarray:
    (entry,) = (each for each in result["artifacts"] if each["name"] == "result")
    assert (entry["media_type"], entry["key"].rpartition("/")[2]) == ("application/x-npy", "result.npy")
    return np.load(io.BytesIO(bench.content(result, "result")), allow_pickle=False)


def planes(picture01: np.ndarray) -> torch.Tensor:
    """(H, W, C) on [0, 1] as (1, C, H, W) on [-1, 1]."""
    return torch.from_numpy(2 * picture01.astype(np.float64) - 1).permute(2, 0, 1)[None]


def test_magnitudes_there_and_back(bench: Bench) -> None:
    """The picture that a worker finds is the one of the solver, here without the wire; neither knows sign and turn."""
    truth = smooth(3, size=(32, 32))
    applied = bench.run(bench.application(png(truth), operator=PHASE, **AS_ARRAY))
    measurement = array(bench, applied)
    assert (measurement.dtype, measurement.shape) == (np.float32, (64, 64, 3))
    assert measurement.max() > 2  # no picture holds it
    operator = PhaseRetrieval((3, 32, 32), 4.0)
    np.testing.assert_allclose(planes(measurement), operator.forward(planes(truth / 255)), atol=1e-5)
    claim = bench.claim(
        "restore",
        bench.content(applied, "result"),
        operator=PHASE,
        params={"steps": 4, "symmetry": "none"},
        noise={"sigma": 0.01},
        **AS_ARRAY,
    )
    restored = planes(array(bench, bench.run(claim)))
    problem = Problem(planes(measurement).float(), operator, 0.02)
    parameters = replace(preset("restore", "fast", 0.02, operator), steps=4, symmetry="none")
    solution = drive(red_diff(problem, parameters, NoiseStream(1)), GaussianPrior(0.25).denoise)
    turned = solution.x.flip(-1, -2)
    assert min(float((restored - each).abs().max()) for each in (solution.x, turned, -solution.x, -turned)) < 1e-3
    misfit = (operator.forward(restored) - planes(measurement)).square().mean()
    assert misfit < 0.1 * planes(measurement).square().mean()


@pytest.mark.parametrize("solver", ["dps", "pigdm", "diffpir", "daps"])
def test_solvers_that_take_any_operator_take_magnitudes(bench: Bench, solver: str) -> None:
    measurement = npy_bytes(np.random.default_rng(0).gamma(1, size=(24, 36)) / 2 + 0.5)
    claim = bench.claim(
        "restore", measurement, operator={"kind": "phase"}, solver=solver, params={"steps": 2}, noise={"sigma": 0.05}
    )
    assert bench.picture(bench.run(claim)).shape == (16, 24)


def test_a_sparse_matrix_restores_as_the_dense_one(bench: Bench) -> None:
    """A line of sixty sums of six pixels each, from a picture of 12 x 10."""
    rng = np.random.default_rng(0)
    entries = np.column_stack([np.arange(360) // 6, rng.permutation(np.arange(360) % 120), rng.normal(size=360)])
    dense = np.zeros((60, 120), np.float32)
    np.add.at(dense, (entries[:, 0].astype(int), entries[:, 1].astype(int)), entries[:, 2].astype(np.float32))
    size = {"kind": "matrix", "width": 12, "height": 10, "output_width": 60, "output_height": 1}
    truth, pictures = smooth(3, size=(10, 12)) / 255, []
    measurement = (dense @ (2 * truth.reshape(120, 3) - 1) + 1)[None] / 2
    for given, kept in (({"rows": [[1.0]]}, dense), ({"entries": [[0, 0, 1.0]]}, entries.astype(np.float32))):
        claim = bench.claim(
            "restore",
            npy_bytes(measurement),
            operator=size | given,
            params={"steps": 4},
            noise={"sigma": 0},
            **AS_ARRAY,
        )
        stored = {"sha256": bench.storage.put_input(npy_bytes(kept)), "sparse": "entries" in given}
        claim.request["operator"] = size | stored
        pictures.append(array(bench, bench.run(claim)))
    np.testing.assert_allclose(pictures[0], pictures[1], atol=2e-3)
    assert pictures[0].shape == (10, 12, 3)
    assert np.abs(dense @ (2 * pictures[0].reshape(120, 3) - 1) - (2 * measurement[0] - 1)).max() < 0.1


def test_an_array_is_neither_clipped_nor_rounded(bench: Bench) -> None:
    values = np.linspace(-3, 4, 20 * 24).reshape(20, 24, 1).astype(np.float32)
    applied = bench.run(bench.application(npy_bytes(values), operator={"kind": "identity"}, **AS_ARRAY))
    np.testing.assert_allclose(array(bench, applied), values.repeat(3, 2), atol=1e-6)
    assert applied["metrics"]["clipped_fraction"] > 0.5
    as_picture = bench.run(bench.application(npy_bytes(values), operator={"kind": "identity"}))
    assert as_picture["artifacts"][0]["media_type"] == "image/png"


def test_what_an_operator_gives_is_finite(bench: Bench) -> None:
    claim = bench.application(npy_bytes(np.ones((1, 2))), operator={"kind": "identity"}, **AS_ARRAY)
    stored = bench.storage.put_input(npy_bytes(np.full((1, 2), 3e38, np.float32)))
    claim.request["operator"] = MATRIX | {"sha256": stored}
    assert bench.failure(claim)["code"] == "operator_invalid"


def test_the_result_of_an_array_is_a_picture_unless_asked_otherwise(bench: Bench) -> None:
    noisy = 0.5 + 0.1 * np.random.default_rng(0).normal(size=(20, 24))
    claim = bench.claim("denoise", npy_bytes(noisy), noise={"sigma": 0.1}, params={"steps": 2})
    result = bench.run(claim)
    assert result["artifacts"][0]["media_type"] == "image/png"
    assert bench.picture(result).shape == (20, 24)
