"""The sheet of pictures in the README: `python -m benchmarks.sheet --images FOLDER`.

A row a task: what was measured, the restoration of several methods, the truth, four times the error of the first
method and four times the standard deviation that it claims. The others have the parameters that `benchmarks.rivals`
tuned. Pixels are doubled.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from benchmarks.problems import TASKS, Task, measure, pictures
from benchmarks.rivals import TUNED, remembered, solver_of
from benchmarks.served import folder_of, served
from priors.base import Prior
from solvers.calibration import read_calibrations
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.uncertainty import UncertaintySettings, with_uncertainty

SHOWN = ("red_diff fast", "red_diff paper 100", "ddnm", "diffpir")
CASES = (("inpaint 50 %", 0.05), ("inpaint box", 0.0), ("SR x4 bicubic", 0.0), ("deblur Gaussian", 0.0))
"""Task and noise level on [0, 1] of each row."""
GAIN = 4
"""By which error and standard deviation are made visible."""
CAPTION = 14
"""Height of a line of text in pixels."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sheet", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, required=True, help="folder of clean pictures")
    parser.add_argument("--every", type=int, default=6, help="a row takes the next n-th picture")
    parser.add_argument("--side", type=int, default=96, help="of the centre crops")
    parser.add_argument("--prior", help="default: that of the service")
    parser.add_argument(
        "--tuned-in",
        nargs="+",
        default=["rivals"],
        help="names of the tables that tell parameters",
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[1] / "docs" / "restorations.png")
    arguments = parser.parse_args()
    prior, folder = served(arguments.prior), folder_of(arguments.prior)
    tasks = {task.label: task for task in TASKS}
    truths = pictures(arguments.images, arguments.every, arguments.side)
    rows = [
        row(prior, tasks[label], sigma01, truths[number % len(truths)], number, folder, arguments.tuned_in)
        for number, (label, sigma01) in enumerate(CASES)
    ]
    titles = ["measured", *SHOWN, "truth", f"error x{GAIN}", f"deviation x{GAIN}"]
    pictures_out = np.concatenate(rows).repeat(2, axis=0).repeat(2, axis=1)
    sheet = np.concatenate([header(titles, 2 * arguments.side), pictures_out])
    Image.fromarray(sheet).save(arguments.out, optimize=True)


def row(
    prior: Prior, task: Task, sigma01: float, truth: Tensor, seed: int, home: Path, tables: Sequence[str]
) -> np.ndarray:
    """(side, 8 side, 3) uint8. home: folder of the prior, where its calibration lies."""
    problem = measure(task, truth, sigma01, seed)

    def restore(method: str) -> Tensor:
        values = remembered(tables, method, task, sigma01) if method in TUNED else {}
        return drive(solver_of(prior, method, task, problem, seed, values), prior.denoise).x

    restored = [restore(method) for method in SHOWN[1:]]
    solver = solver_of(prior, SHOWN[0], task, problem, seed, {})
    calibration = read_calibrations(home, prior.info.digest)[task.preset]
    settings = UncertaintySettings(task.preset, calibration=calibration)
    solution = drive(with_uncertainty(solver, problem, settings, NoiseStream(seed)), prior.denoise)
    error, deviation = (solution.x - truth).abs(), solution.deviation
    measured = functional.interpolate(problem.measurement, truth.shape[-2:])
    maps = [GAIN * error - 1, GAIN * deviation - 1]  # black is none
    return np.concatenate([pixels(x) for x in (measured, solution.x, *restored, truth, *maps)], axis=1)


def pixels(x: Tensor) -> np.ndarray:
    """(1, 3, H, W) on [-1, 1] to (H, W, 3) uint8."""
    return (x[0].clamp(-1, 1).add(1).mul(127.5).permute(1, 2, 0).numpy() + 0.5).astype(np.uint8)


def header(titles: list[str], side: int) -> np.ndarray:
    """The line of titles over pictures of `side`, (CAPTION, 8 side, 3) uint8."""
    line = Image.new("RGB", (side * len(titles), CAPTION), "white")
    draw = ImageDraw.Draw(line)
    for number, title in enumerate(titles):
        draw.text((number * side + 3, 1), title, fill="black", font=ImageFont.load_default(11))
    return np.asarray(line)


if __name__ == "__main__":
    main()
