"""RED-Diff and its rivals on the same damaged pictures: `python -m benchmarks.rivals --images FOLDER... --tune FOLDER`.

Same prior, same measurements, same run; PSNR and SSIM of the clipped picture. Methods in `TUNED` get, for each task and
noise level, the values that were best in mean PSNR on the pictures of `--tune`; the others run with their own defaults.
The values of 1000 calls are those of 100. A call is one denoiser call, a gradient one vector-Jacobian product through
the denoiser. One picture of each set after the other goes through all tasks, so that a run that is cut short has fewer
pictures; seconds (of one core) and memory are for each picture while one of each set goes side by side.
"""

import argparse
import dataclasses
import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.problems import TASKS, Task, measure, pictures
from benchmarks.report import RESULTS, Row, publish, write
from benchmarks.served import served
from benchmarks.side_by_side import Counted, Spent, restore_together
from priors.base import Prior
from solvers.catalogue import NEEDS_GRADIENT, SOLVERS
from solvers.metrics import psnr, ssim
from solvers.noise import NoiseStream
from solvers.presets import preset
from solvers.query import Problem, Query, Solver

NOISE_LEVELS = (0.0, 0.01, 0.05)
"""Standard deviations on the [0, 1] scale."""
METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "red_diff fast": ("red_diff", {"mode": "fast"}),
    "red_diff paper 100": ("red_diff", {"mode": "paper", "steps": 100}),
    "red_diff paper 1000": ("red_diff", {"mode": "paper", "steps": 1000}),
    "dps": ("dps", {}),
    "pigdm": ("pigdm", {}),
    "ddnm": ("ddnm", {}),
    "diffpir": ("diffpir", {}),
    "daps": ("daps", {}),
}
Values = dict[str, float]
TUNED = ("red_diff paper 100", "diffpir")
LENT = {"red_diff paper 1000": "red_diff paper 100"}
"""Methods that take the values of another."""


@dataclasses.dataclass(frozen=True)
class Crop:
    """A picture of a set: its number there, which is the seed, and its truth (1, 3, H, W) on [-1, 1]."""

    folder: str
    number: int
    truth: Tensor


def crops_of(folder: Path, every: int, side: int) -> list[Crop]:
    return [Crop(folder.name, every * index, truth) for index, truth in enumerate(pictures(folder, every, side))]


@dataclasses.dataclass(frozen=True)
class Bench:
    """What all methods share."""

    prior: Prior
    training: list[Crop]
    tables: Sequence[str] = ()
    """Names of the tables whose parameters are taken in place of tuning."""


def parameters_of(
    method: str, prior: Prior, task: Task, problem: Problem, values: Values | None = None
) -> tuple[str, Any]:
    """Name of the solver and its parameters. values: of fields that were tuned."""
    name, given = METHODS[method]
    if given.get("mode") == "fast":
        found = preset(task.preset, "fast", problem.sigma_y)
        return name, dataclasses.replace(found, symmetry=prior.info.symmetries)
    return name, SOLVERS[name].parameters(**given, **(values or {}))


def solver_of(prior: Prior, method: str, task: Task, problem: Problem, seed: int, values: Values) -> Solver:
    name, parameters = parameters_of(method, prior, task, problem, values)
    return SOLVERS[name].solve(problem, parameters, NoiseStream(seed))


@dataclasses.dataclass(frozen=True)
class Found:
    folder: str
    psnr: float
    ssim: float
    spent: Spent


def solve(bench: Bench, method: str, task: Task, sigma01: float, trials: list[tuple[Crop, Values]]) -> list[Found]:
    """All side by side."""
    solvers = [
        solver_of(bench.prior, method, task, measure(task, crop.truth, sigma01, crop.number), crop.number, values)
        for crop, values in trials
    ]
    denoiser = Counted(bench.prior, METHODS[method][0] in NEEDS_GRADIENT)
    solutions, spent = restore_together(solvers, denoiser)
    found = []
    for (crop, _), solution in zip(trials, solutions, strict=True):
        x = solution.x.clamp(-1, 1)
        found.append(Found(crop.folder, float(psnr(x, crop.truth, 2)), float(ssim(x, crop.truth, 2)), spent))
    return found


def tried(method: str, sigma01: float) -> list[Values]:
    """What a method of `TUNED` is tuned over: where the published settings and those of others lie."""
    match method:
        case "red_diff paper 100":
            weights = (0.1, 0.5, 2.0) if sigma01 else (0.015, 0.06, 0.25)
            grid = {"prior_weight": weights, "learning_rate": (0.02, 0.1, 0.5)}
        case "diffpir":
            grid = {"prior_weight": (1.0, 4.0, 16.0), "renoise": (0.3, 1.0), "sigma_max": (0.5, 2.0)}
    return [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]


def tune(bench: Bench, method: str, task: Task, sigma01: float) -> Values:
    """The best of what is tried."""
    candidates = tried(method, sigma01)
    trials = [(crop, values) for values in candidates for crop in bench.training]
    scores = torch.tensor([found.psnr for found in solve(bench, method, task, sigma01, trials)])
    return candidates[int(scores.reshape(len(candidates), -1).mean(1).argmax())]


def values_of(bench: Bench, method: str, task: Task, sigma01: float) -> Values:
    """Tuned, or what `bench.tables` were tuned to."""
    owner = LENT.get(method, method)
    if owner not in TUNED:
        return {}
    return remembered(bench.tables, owner, task, sigma01) if bench.tables else tune(bench, owner, task, sigma01)


def remembered(tables: Sequence[str], method: str, task: Task, sigma01: float) -> Values:
    """The parameters of a method in the first table that has it. KeyError if none has."""
    for table in tables:
        for each in json.loads((RESULTS / f"{table}.json").read_text())["rows"]:
            if (each["method"], each["task"], each["sigma"]) == (method, task.label, sigma01):
                return each["tuned"]
    raise KeyError(f"{method}, {task.label} at {sigma01} is in none of {', '.join(tables)}")


def mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def row(folder: str, task: Task, sigma01: float, method: str, values: Values, scores: list[Found]) -> Row:
    return {
        "set": folder,
        "task": task.label,
        "sigma": sigma01,
        "method": method,
        "PSNR": mean(score.psnr for score in scores),
        "SSIM": mean(score.ssim for score in scores),
        "calls": mean(score.spent.calls for score in scores),
        "gradients": mean(score.spent.gradients for score in scores),
        "core s": mean(score.spent.seconds for score in scores),
        "MiB": mean(score.spent.mib for score in scores),
        "pictures": len(scores),
        "tuned": values,
        "PSNR each": [round(score.psnr, 3) for score in scores],
    }


def main() -> None:
    arguments = parser().parse_args()
    prior = served(arguments.prior)
    training = crops_of(arguments.tune, arguments.tune_every, arguments.side) if arguments.tune else []
    bench = Bench(prior, training, arguments.tuned_in or ())
    sets = [crops_of(folder, arguments.every, arguments.side) for folder in arguments.images]
    Counted(prior).reply(Query(sets[0][0].truth, torch.ones(1), 0, 1))  # the first call is slow
    settings_out = plain(arguments) | {"prior": prior.info.name, "tuned on": len(training)}
    tasks = [task for task in TASKS if not arguments.tasks or task.label in arguments.tasks]
    cells = [(task, noise, method) for noise in arguments.noise for task in tasks for method in arguments.methods]
    values: dict[tuple[Task, float, str], Values] = {}
    found: dict[tuple[Task, float, str, str], list[Found]] = defaultdict(list)
    for crops in zip(*sets, strict=False):
        for task, sigma01, method in cells:
            cell = (task, sigma01, method)
            if cell not in values:
                values[cell] = values_of(bench, method, task, sigma01)
            for each in solve(bench, method, task, sigma01, [(crop, values[cell]) for crop in crops]):
                found[*cell, each.folder].append(each)
            rows = [row(key[3], *key[:3], values[key[:3]], scores) for key, scores in found.items()]
            write(arguments.name, rows, settings_out | {"complete": False})
    publish(arguments.name, rows, settings_out | {"complete": True})


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--tune", type=Path, help="folder of other pictures, to choose parameters on")
    source.add_argument("--tuned-in", nargs="+", help="names of tables whose parameters are taken instead")
    parser.add_argument("--prior", help="default: that of the service")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--tasks", nargs="+", choices=[task.label for task in TASKS])
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE_LEVELS)
    parser.add_argument("--every", type=int, default=12, help="take every n-th picture of each folder")
    parser.add_argument("--side", type=int, default=64, help="side of the centre crop")
    parser.add_argument("--tune-every", type=int, default=200, help="the same of the folder to tune on")
    parser.add_argument("--name", default="rivals", help="of the table")
    return parser


def plain(arguments: argparse.Namespace) -> Row:
    """The options of a command as JSON has them; folders by their names."""
    tune_folder = arguments.tune.name if arguments.tune else None
    return vars(arguments) | {"images": [path.name for path in arguments.images], "tune": tune_folder}


if __name__ == "__main__":
    main()
