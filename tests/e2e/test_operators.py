"""A picture is measured and found again, by the real service: its API, its queue, a worker, the bundled prior."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from client import Rediffuse
from tests.service_process import running_service

PICTURE = Path(__file__).parent.parent.parent / "examples" / "pictures" / "original.png"


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)


@pytest.mark.slow
def test_measured_and_found_again(tmp_path: Path) -> None:
    truth = Image.open(PICTURE).convert("RGB").crop((40, 40, 104, 104))
    buffer = io.BytesIO()
    truth.save(buffer, "png")
    blur = {"kind": "blur", "kernel": {"kind": "gaussian", "width": 1.0}}
    chain = {"kind": "compose", "operators": [blur, {"kind": "downsample", "scale": 2, "kernel": "box"}]}
    with running_service(tmp_path, threads="1") as service, Rediffuse(service.url) as client:
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
