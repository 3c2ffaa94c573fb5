"""A picture is measured and found again, by the real service: its API, its queue, a worker, the bundled prior."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from client import Rediffuse
from solvers.operators.phase import PhaseRetrieval
from tests.service_process import running_service

PICTURE = Path(__file__).parent.parent.parent / "examples" / "pictures" / "original.png"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rediffuse]:
    folder = tmp_path_factory.mktemp("service")
    with running_service(folder, threads="1") as service, Rediffuse(service.url) as client:
        yield client


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


@pytest.mark.slow
def test_measured_and_found_again(client: Rediffuse) -> None:
    truth = Image.open(PICTURE).convert("RGB").crop((40, 40, 104, 104))
    buffer = io.BytesIO()
    truth.save(buffer, "png")
    blur = {"kind": "blur", "kernel": {"kind": "gaussian", "width": 1.0}}
    chain = {"kind": "compose", "operators": [blur, {"kind": "downsample", "scale": 2, "kernel": "box"}]}
    blurred = client.apply_operator(buffer.getvalue(), blur, noise={"sigma": 0.01}, seed=1)
    sharp = client.deblur(blurred, blur["kernel"], uncertainty={"samples": 2}, seed=1)
    small = client.apply_operator(buffer.getvalue(), chain)
    large = client.restore(small, chain, solver="diffpir", params={"steps": 4, "sigma_max": 1}, num_samples=2)
    before, after = (
        np.square(pixels(each) - pixels(buffer.getvalue())).mean() for each in (blurred, client.result_bytes(sharp))
    )
    assert after < before
    raw = np.load(io.BytesIO(client.result_bytes(sharp, "uncertainty_raw")))
    assert (raw.shape, raw.dtype) == ((64, 64, 3), np.float32)
    assert pixels(small).shape == (32, 32, 3)
    assert pixels(client.result_bytes(large)).shape == (64, 64, 3)
    assert pixels(client.result_bytes(large, "sample_1")).shape == (64, 64, 3)


@pytest.mark.slow
def test_what_no_picture_holds_is_measured_and_found_again(client: Rediffuse, tmp_path: Path) -> None:
    """Magnitudes, which leave sign and turn open, and sums along rows and columns as a sparse matrix."""
    truth = Image.open(PICTURE).convert("RGB").crop((40, 40, 72, 72))
    picture, as_array = tmp_path / "truth.png", {"output": {"format": "npy"}}
    truth.save(picture)
    x = torch.from_numpy(np.asarray(truth) / 127.5 - 1).permute(2, 0, 1)[None]
    phase = {"kind": "phase", "oversampling": 4.0}
    sums = [[y, 32 * y + x, 0.2] for y in range(32) for x in range(32)]
    sums += [[32 + x, 32 * y + x, 0.2] for y in range(32) for x in range(32)]
    lines = {"kind": "matrix", "width": 32, "height": 32, "output_width": 64, "output_height": 1, "entries": sums}
    few = {"noise": {"sigma": 0.001}, "params": {"steps": 4}, "seed": 1} | as_array
    magnitudes = client.apply_operator(picture, phase, **as_array)
    found = client.result_bytes(client.restore(magnitudes, phase, **few))
    measured = client.apply_operator(picture, lines, **as_array)
    restored = client.result_bytes(client.restore(measured, lines, **few))
    operator = PhaseRetrieval((3, 32, 32), 4.0)
    y, z = (2 * np.load(io.BytesIO(each)).transpose(2, 0, 1)[None] - 1 for each in (magnitudes, found))
    np.testing.assert_allclose(y, operator.forward(x), atol=1e-5)
    direct, z = operator.start(operator.forward(x)), torch.from_numpy(z)
    turned = direct.flip(-1, -2)
    assert min(float((z - each).square().mean()) for each in (direct, turned, -direct, -turned)) < 0.01
    sums01 = np.load(io.BytesIO(measured))[0]  # (64, 3)
    again = 2 * np.load(io.BytesIO(restored)) - 1
    expected = 0.2 * np.concatenate([again.sum(1), again.sum(0)])
    np.testing.assert_allclose(expected, 2 * sums01 - 1, atol=0.05)
