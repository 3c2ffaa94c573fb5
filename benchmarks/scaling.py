"""Cost against pixels and against the number of jobs: `python -m benchmarks.scaling`.

Denoising jobs through the engine, as a worker runs them, on one thread. Seconds are of the processor, so that other
work on the machine counts little. The slope is of ln seconds against ln pixels, or ln jobs, by least squares: 1 is
linear. `per call` is the time of one denoiser call with its data step.
"""

import argparse
import math
import time

import numpy as np
import torch

from benchmarks.overhead import picture
from benchmarks.processes import resident_mib
from benchmarks.report import Row, publish
from benchmarks.served import folder_of, served
from service.engine.engine import Engine
from solvers.noise import NoiseStream
from solvers.operators import Identity
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff

SIGMA = 0.2
"""Noise level of the pictures on the [-1, 1] scale."""


def seconds(engine: Engine, prior: str, height: int, width: int, jobs: int, calls: int) -> float:
    """From the first submission to the last solution, after one round to warm up where the picture is small."""
    y = torch.from_numpy(picture(64)).permute(2, 0, 1)[None].float() / 127.5 - 1
    y = torch.nn.functional.interpolate(y, (height, width), mode="bilinear")
    problem, parameters = Problem(y, Identity((3, height, width)), SIGMA), RedDiffParameters(steps=calls)

    def run() -> float:
        began = time.process_time()
        futures = [
            engine.submit(f"{height}-{width}-{k}", lambda k=k: red_diff(problem, parameters, NoiseStream(k)), prior)
            for k in range(jobs)
        ]
        for future in futures:
            future.result()
        return time.process_time() - began

    if height * width <= 512**2:
        run()
        return min(run(), run())
    return run()


def slope(x: list[float], y: list[float]) -> float:
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__.split("\n")[0])
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 128, 256, 512, 1024, 2048])
    parser.add_argument("--largest", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="such as 3000 4000")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--side", type=int, default=64, help="of the pictures of the second part")
    parser.add_argument("--calls", type=int, default=2, help="denoiser calls a job")
    parser.add_argument("--prior", help="default: that of the service")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    name = folder_of(arguments.prior).name
    engine = Engine(served, "cpu")
    seconds(engine, name, 64, 64, 1, 1)  # loads the prior
    rows: list[Row] = []
    largest = [tuple(arguments.largest)] if arguments.largest else []
    for height, width in [(side, side) for side in arguments.sides] + largest:
        spent = seconds(engine, name, height, width, 1, arguments.calls)
        rows.append(row("pixels", height, width, 1, spent, arguments.calls))
    sizes = [each["megapixels"] for each in rows]
    fit = slope(sizes, [each["seconds"] for each in rows])
    batches: list[Row] = []
    for jobs in arguments.jobs:
        spent = seconds(engine, name, arguments.side, arguments.side, jobs, arguments.calls)
        batches.append(row("jobs", arguments.side, arguments.side, jobs, spent, arguments.calls))
    fit_jobs = slope([each["jobs"] for each in batches], [each["seconds"] for each in batches])
    engine.stop(drain=False)
    slopes = {"slope in pixels": fit, "slope in jobs": fit_jobs}
    publish("scaling", rows + batches, vars(arguments) | slopes)
    print(", ".join(f"{key} {value:.3f}" for key, value in slopes.items()))


def row(part: str, height: int, width: int, jobs: int, spent: float, calls: int) -> Row:
    return {
        "part": part,
        "megapixels": height * width / 1e6,
        "jobs": jobs,
        "seconds": spent,
        "per call": spent / calls / jobs,
        "resident MiB": math.ceil(resident_mib()),
    }


if __name__ == "__main__":
    main()
