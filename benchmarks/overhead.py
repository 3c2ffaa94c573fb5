"""What the service costs: a job over HTTP against the same solver in process: `python -m benchmarks.overhead`.

Both take the same picture, prior, seed and 20 denoiser calls, turn by turn on the same machine; the ratio of the
medians is the figure. Over HTTP it includes upload, queue, decoding, encoding, storage and download.
"""

import argparse
import io
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from api_schemas.requests import DenoiseOptions
from benchmarks.report import publish
from benchmarks.served import served
from client import Rediffuse
from service.formulate import PriorFacts, formulate
from solvers.drive import drive
from tests.service_process import running_service

CPU = torch.device("cpu")


def picture(side: int, seed: int = 0) -> np.ndarray:
    """A smooth noisy picture (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
        (side, side), Image.Resampling.BICUBIC
    )
    return np.clip(np.asarray(coarse) + rng.normal(0, 15, (side, side, 3)), 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__.split("\n")[0])
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    options = {"solver": "red_diff", "noise": {"sigma_255": 15}, "params": {"mode": "fast", "steps": 20}, "seed": 1}
    pixels = picture(arguments.side)
    prior = served()
    request = DenoiseOptions(**options).model_dump(mode="json")

    def in_process() -> float:
        began = time.perf_counter()
        formulation = formulate(request, pixels.astype(np.float32) / 255, None, CPU, PriorFacts(prior.info.symmetries))
        with torch.inference_mode():
            drive(formulation.start(), prior.denoise)
        return time.perf_counter() - began

    alone, remote = [], []
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        client = Rediffuse(service.url)

        def over_http() -> float:
            began = time.perf_counter()
            client.result_bytes(client.wait(client.denoise(png(pixels), **options)))
            return time.perf_counter() - began

        over_http(), in_process()  # warm both
        for _ in range(arguments.repeats):
            alone.append(in_process())
            remote.append(over_http())
    row = {
        "side": arguments.side,
        "denoiser calls": 20,
        "in process s": statistics.median(alone),
        "over HTTP s": statistics.median(remote),
        "ratio": statistics.median(remote) / statistics.median(alone),
        "difference s": statistics.median(remote) - statistics.median(alone),
    }
    publish("overhead", [row], vars(arguments))


if __name__ == "__main__":
    main()
