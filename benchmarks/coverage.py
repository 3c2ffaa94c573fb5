"""Do the deviations tell how large the errors are? `python -m benchmarks.coverage --images FOLDER... [--prior NAME]`.

Pictures are damaged with a fixed seed and restored as the service does by default, with eight members. Counted is how
many errors lie within 1.645 deviations, which a Gaussian does in 90 of 100 cases: with the spread as it is ("before")
and calibrated by the prior's `calibration.json` ("after"). Of inpainting only holes count.
"""

import argparse
import dataclasses
from collections import defaultdict
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.problems import Task, measure, pictures
from benchmarks.report import Row, publish
from benchmarks.served import folder_of, served
from priors.base import Prior
from solvers.calibration import Calibration, read_calibrations
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators import Blur, Downsample, Identity, Mask, holes, kernels
from solvers.presets import preset
from solvers.red_diff import red_diff
from solvers.uncertainty import UncertaintySettings, gap_of, with_uncertainty

NOMINAL, QUANTILE = 0.9, 1.645
"""Of a Gaussian, NOMINAL lies within QUANTILE standard deviations."""


@dataclass(frozen=True)
class Case:
    """One way to damage a picture, and the standard deviation of the noise on [0, 1]."""

    task: Task
    sigma01: float = 0.0


def shrunk(scale: int) -> Task:
    return Task(
        f"super-resolution x{scale}, bicubic",
        "super_resolution",
        lambda h, w, _: Downsample((3, h, w), scale, "bicubic"),
    )


def noisy(sigma_255: int) -> Case:
    return Case(Task(f"denoise {sigma_255}/255", "denoise", lambda h, w, _: Identity((3, h, w))), sigma_255 / 255)


def strokes(height: int, width: int, seed: int) -> Mask:
    """A window of a picture of at least 256 x 256 that lost a quarter to strokes, itself a tenth to a half of it.

    Strokes that shrink with the crop would be too narrow to be hard.
    """
    sides = max(256, height), max(256, width)
    top, left = (sides[0] - height) // 2, (sides[1] - width) // 2
    for attempt in count(1000 * seed):
        observed = holes.free_form(*sides, 0.25, attempt)[top : top + height, left : left + width]
        if 0.1 <= 1 - float(observed.float().mean()) <= 0.5:
            return Mask(observed)


CASES = (
    Case(Task("inpaint 50 % random pixels", "inpaint", lambda h, w, seed: Mask(holes.random_pixels(h, w, 0.5, seed)))),
    Case(Task("inpaint 25 % free-form hole", "inpaint", strokes)),
    Case(shrunk(2)),
    Case(shrunk(4)),
    *(noisy(sigma_255) for sigma_255 in (15, 25, 50)),
    Case(Task("deblur Gaussian 1.6", "deblur", lambda h, w, _: Blur((3, h, w), kernels.gaussian(1.6))), 0.01),
    Case(Task("deblur motion 15", "deblur", lambda h, w, seed: Blur((3, h, w), kernels.motion(15, 0.5, seed))), 0.01),
)


@dataclass(frozen=True)
class Observation:
    """One restored picture: the values that count, (n,) each."""

    error: Tensor
    """Distance from the truth."""
    spread: Tensor
    """The deviation before calibration."""
    gap: Tensor
    """See `solvers.uncertainty.gap_of`."""


def observe(case: Case, truth: Tensor, prior: Prior, seed: int) -> Observation:
    """truth: (1, 3, H, W) on [-1, 1]."""
    problem, noise = measure(case.task, truth, case.sigma01, seed), NoiseStream(seed)
    parameters = preset(case.task.preset, "fast", problem.sigma_y)
    solver = red_diff(problem, dataclasses.replace(parameters, symmetry=prior.info.symmetries), noise)
    solution = drive(with_uncertainty(solver, problem, UncertaintySettings(case.task.preset), noise), prior.denoise)
    error, gap = (solution.x.clamp(-1, 1) - truth).abs(), gap_of(problem.operator)
    gap = torch.as_tensor(gap).expand_as(error)
    counted = torch.ones(truth.shape[-2:], dtype=torch.bool)
    if isinstance(problem.operator, Mask):
        counted = ~problem.operator.observed
    return Observation(*(values[..., counted].flatten() for values in (error, solution.deviation, gap)))


def covered(seen: Observation, calibration: Calibration) -> float:
    """Fraction of the errors within the nominal interval."""
    deviation = calibration.apply(seen.spread, seen.gap)
    return float((seen.error <= QUANTILE * deviation).float().mean())


def row(folder: str, case: Case, seen: list[Observation], calibration: Calibration) -> Row:
    """Means over the pictures, and their extremes."""
    after = [covered(each, calibration) for each in seen]
    error = torch.cat([each.error for each in seen])
    deviation = torch.cat([calibration.apply(each.spread, each.gap) for each in seen])
    return {
        "set": folder,
        "task": case.task.label,
        "pictures": len(seen),
        "before": sum(covered(each, Calibration()) for each in seen) / len(seen),
        "after": sum(after) / len(seen),
        "lowest": min(after),
        "highest": max(after),
        "RMS error / deviation": float((error / deviation).square().mean().sqrt()),
        "correlation": float(torch.corrcoef(torch.stack([error, deviation]))[0, 1]),
        "RMS error": float(error.square().mean().sqrt()),
    }


def parser_of(module: str, description: str) -> argparse.ArgumentParser:
    """What `benchmarks.calibrate` asks for as well."""
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{module}", description=description.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    parser.add_argument("--prior", help="default: that of the service")
    parser.add_argument("--every", type=int, default=1, help="take every n-th picture of each folder")
    parser.add_argument("--side", type=int, default=64, help="side of the centre crop")
    parser.add_argument("--tasks", nargs="+", default=sorted({case.task.preset for case in CASES}))
    return parser


def observations(arguments: argparse.Namespace, prior: Prior) -> dict[str, dict[Case, list[Observation]]]:
    """By folder and case, of the tasks asked for."""
    seen: dict[str, dict[Case, list[Observation]]] = defaultdict(partial(defaultdict, list))
    for folder in arguments.images:
        for seed, truth in enumerate(pictures(folder, arguments.every, arguments.side)):
            for case in CASES:
                if case.task.preset in arguments.tasks:
                    seen[folder.name][case].append(observe(case, truth, prior, seed))
    return seen


def main() -> None:
    arguments = parser_of("coverage", __doc__).parse_args()
    prior = served(arguments.prior)
    calibrations = read_calibrations(folder_of(arguments.prior), prior.info.digest)
    rows = [
        row(images, case, seen, calibrations[case.task.preset])
        for images, by_case in observations(arguments, prior).items()
        for case, seen in by_case.items()
    ]
    publish("coverage", rows, {"prior": prior.info.name, "side": arguments.side, "every": arguments.every})


if __name__ == "__main__":
    main()
