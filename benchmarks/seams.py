"""Does a large restored picture show where it was cut? `python -m benchmarks.seams --images FILE...`.

Photographs are damaged, with noise of 0.01, and restored by the engine as a worker does it. A seam is the mean absolute
second difference across the borders of the tiles divided by that elsewhere; the same of the photograph tells how much
of it is in the picture. Memory is what the process grew by at its peak.
"""

import argparse
import dataclasses
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from benchmarks.cuttings import Borders, both_sides
from benchmarks.problems import TASKS, Task, measure
from benchmarks.processes import peak_mib
from benchmarks.report import Row, publish
from benchmarks.served import folder_of, served
from benchmarks.side_by_side import restart_peak
from benchmarks.tiling import bend
from priors.base import Prior
from priors.tiling import plan_tiles
from service.engine.engine import Engine
from solvers.metrics import psnr
from solvers.noise import NoiseStream
from solvers.presets import preset
from solvers.query import Problem
from solvers.red_diff import RedDiffParameters, red_diff
from solvers.symmetry import SYMMETRIES, apply

SIZES = (64, 128, 256)
"""The engine's, of its tiles."""


def borders_of(x: Tensor, prior: Prior) -> tuple[int, Borders]:
    """Side of the tiles of a picture (1, C, H, W), and where they begin and end."""
    height, width = x.shape[-2:]
    grid = plan_tiles(height, width, SIZES, prior.info.multiple_of)
    rows, columns = (
        [edge for start in starts for edge in (start, start + grid.tile)] for starts in (grid.tops, grid.lefts)
    )
    return grid.tile, (both_sides(rows, height), both_sides(columns, width))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seams", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="photographs")
    parser.add_argument("--width", type=int, default=1500, help="of the centre crop")
    parser.add_argument("--height", type=int, default=1000)
    parser.add_argument(
        "--tasks", nargs="+", choices=[task.label for task in TASKS], default=["deblur Gaussian", "inpaint 50 %"]
    )
    parser.add_argument("--calls", type=int, default=20)
    parser.add_argument("--prior", help="default: that of the service")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    name, prior = folder_of(arguments.prior).name, served(arguments.prior)
    engine = Engine(lambda _: prior, "cpu")
    rows = []
    for path in arguments.images:
        truth = centre(path, arguments.height, arguments.width)
        for task in (task for task in TASKS if task.label in arguments.tasks):
            rows.append({"image": path.name} | measured(engine, name, prior, task, truth, arguments.calls))
            print(rows[-1], flush=True)
    engine.stop(drain=True)
    ratio = float(np.mean([row["seam"] / row["seam of the photograph"] for row in rows]))
    publish("seams", rows, {"prior": prior.info.name, "mean of seam over that of the photograph": ratio})


def measured(engine: Engine, name: str, prior: Prior, task: Task, truth: Tensor, calls: int) -> Row:
    """One restoration of a photograph, (1, 3, H, W) on [-1, 1], as a row of the table."""
    problem = measure(task, truth, 0.01, 0)
    parameters = preset(task.preset, "fast", problem.sigma_y)
    parameters = dataclasses.replace(parameters, symmetry=prior.info.symmetries, steps=calls)
    held, began = restart_peak(), time.process_time()
    x = engine.submit("job", lambda: red_diff(problem, parameters, NoiseStream(0)), name).result().solution.x
    seconds, mib = time.process_time() - began, peak_mib() - held
    element = last_element(parameters)
    seen, photograph = apply(x, element), apply(truth, element)  # as the network saw them last
    tile, borders = borders_of(seen, prior)
    return {
        "task": task.label,
        "width": truth.shape[-1],
        "height": truth.shape[-2],
        "calls": calls,
        "tile": tile,
        "seam": bend(seen, borders),
        "seam of the photograph": bend(photograph, borders),
        "PSNR of the start": float(psnr(start(problem, truth), truth, 2)),
        "PSNR": float(psnr(x.clamp(-1, 1), truth, 2)),
        "core s": seconds,
        "peak MiB": mib,
    }


def last_element(parameters: RedDiffParameters) -> int:
    """How the picture was mirrored and turned in the last call; it changes from pair to pair."""
    elements = SYMMETRIES[parameters.symmetry]
    return elements[(parameters.steps - 1) // 2 % len(elements)]


def start(problem: Problem, truth: Tensor) -> Tensor:
    """What was measured, or its pseudo-inverse where it has another size."""
    y = problem.measurement
    return y if y.shape == truth.shape else problem.operator.pseudoinverse(y)


def centre(path: Path, height: int, width: int) -> Tensor:
    """(1, 3, H, W) on [-1, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    crop = pixels[top : top + height, left : left + width]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)[None] / 127.5 - 1


if __name__ == "__main__":
    main()
