"""Peak memory of a worker for a large picture: `python -m benchmarks.memory`. Linux only (reads /proc)."""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.overhead import png
from benchmarks.processes import peak_mib
from benchmarks.report import publish
from client import Rediffuse
from tests.service_process import running_service


def large_picture(width: int, height: int) -> bytes:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((width, height))
    return png(np.asarray(coarse))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument("--steps", type=int, default=2, help="denoiser calls; the peak does not depend on their number")
    arguments = parser.parse_args()
    data = large_picture(arguments.width, arguments.height)
    params = {"mode": "fast", "steps": arguments.steps}
    options = {"solver": "red_diff", "noise": {"sigma_255": 15}, "params": params, "seed": 1}
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        (worker,) = service.workers()
        idle = peak_mib(worker)
        client = Rediffuse(service.url, timeout_s=120)
        job = client.wait(client.denoise(data, **options), timeout_s=7200)
        row = {
            "megapixels": arguments.width * arguments.height / 1e6,
            "denoiser calls": arguments.steps,
            "worker idle MiB": idle,
            "worker peak MiB": peak_mib(worker),
            "seconds": job.timings.run_s,
        }
    publish("memory", [row], vars(arguments))


if __name__ == "__main__":
    main()
