"""Peak memory of a worker for a large picture, a row a task: `python -m benchmarks.memory`. Linux only (reads /proc).

Every task has a service of its own, since a peak never falls. The sizes are those of the pictures that come out.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from api_schemas.jobs import Job
from benchmarks.overhead import png
from benchmarks.processes import peak_mib
from benchmarks.report import Row, publish
from client import Rediffuse
from tests.service_process import running_service

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def large_picture(width: int, height: int) -> Pixels:
    rng = np.random.default_rng(0)
    coarse = Image.fromarray(rng.integers(0, 256, (60, 80, 3), dtype=np.uint8)).resize((width, height))
    return np.asarray(coarse)


def stripes(pixels: Pixels) -> bytes:
    mask = np.zeros(pixels.shape[:2], np.uint8)
    mask[:, ::16] = 255
    return png(mask)


def noisy(pixels: Pixels) -> Pixels:
    """With noise as of a camera, in three channels and over some pixels."""
    rng = np.random.default_rng(1)
    noise = sum(
        np.roll(rng.normal(0, 5, pixels.shape).astype(np.float32), (i, j), (0, 1)) for i in (0, 1) for j in (0, 1)
    )
    return (pixels + noise).clip(0, 255).astype(np.uint8)


TASKS: dict[str, Callable[[Rediffuse, Pixels, dict[str, Any]], Job]] = {
    "photograph": lambda client, x, options: client.denoise(
        png(noisy(x)), **options | {"params": {"sweeps": options["params"]["steps"]}}
    ),
    "denoise": lambda client, x, options: client.denoise(png(x), solver="red_diff", noise={"sigma_255": 15}, **options),
    "inpaint": lambda client, x, options: client.inpaint(png(x), stripes(x), **options),
    "super_resolution": lambda client, x, options: client.super_resolution(png(x[::2, ::2]), 2, **options),
    "deblur": lambda client, x, options: client.deblur(png(x), {"kind": "gaussian", "width": 1.6}, **options),
}


def measure(task: str, width: int, height: int, steps: int) -> Row:
    options = {"params": {"mode": "fast", "steps": steps}, "seed": 1}
    with tempfile.TemporaryDirectory() as folder, running_service(Path(folder)) as service:
        (worker,) = service.workers()
        idle = peak_mib(worker)
        client = Rediffuse(service.url, timeout_s=120)
        job = client.wait(TASKS[task](client, large_picture(width, height), options), timeout_s=7200)
        return {
            "task": task,
            "megapixels": width * height / 1e6,
            "steps": steps,
            "worker idle MiB": idle,
            "worker peak MiB": peak_mib(worker),
            "seconds": job.timings.run_s,
        }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--width", type=int, default=4000)
    parser.add_argument("--height", type=int, default=3000)
    parser.add_argument(
        "--steps",
        type=int,
        default=2,
        help="denoiser calls, or sweeps of the photograph; the peak does not depend on their number",
    )
    arguments = parser.parse_args()
    rows = [measure(task, arguments.width, arguments.height, arguments.steps) for task in arguments.tasks]
    publish("memory", rows, vars(arguments))


if __name__ == "__main__":
    main()
