"""RED-Diff and its rivals on the same damaged pictures: `python -m benchmarks.rivals --images FOLDER... --tune FOLDER`.

Same prior, same measurements, same run; PSNR and SSIM of the clipped picture. Methods in `TUNED` get, for each task and
noise level, the values that were best in mean PSNR on the pictures of `--tune`; the others run with their own defaults.
The values of 1000 calls are those of 100. A call is one denoiser call, a gradient one vector-Jacobian product through
the denoiser. Pictures go side by side; seconds (of one core) and memory are for each of them.
"""

import argparse
import dataclasses
import itertools
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.problems import TASKS, Task, measure, pictures
from benchmarks.report import RESULTS, Row, publish
from benchmarks.served import served
from benchmarks.side_by_side import Counted, Spent, restore_together
from priors.base import Prior
from solvers.catalogue import NEEDS_GRADIENT, SOLVERS
from solvers.metrics import psnr, ssim
from solvers.noise import NoiseStream
from solvers.operators import Blur
from solvers.presets import preset
from solvers.query import Problem, Solver

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
TUNED: dict[str, dict[str, tuple[float, ...]]] = {
    "red_diff paper 100": {"prior_weight": (0.25, 0.06, 1.0, 4.0), "learning_rate": (0.1, 0.02)},
    "ddnm": {"damping": (0.1, 0.001, 0.3, 1.0)},
    "diffpir": {"prior_weight": (4.0, 1.0, 16.0), "renoise": (1.0, 0.3)},
}
"""What is tried, the default first. `damping` is of the pseudo-inverse of a blur: how exactly DDNM takes y."""
LENT = {"red_diff paper 1000": "red_diff paper 100"}
"""Methods that take the values of another."""


@dataclasses.dataclass(frozen=True)
class Damaged:
    """A picture of a set: its number there, which is the seed, its truth (1, 3, H, W) on [-1, 1]."""

    folder: str
    number: int
    truth: Tensor


def damaged(folders: list[Path], every: int, side: int) -> list[Damaged]:
    return [
        Damaged(folder.name, every * index, truth)
        for folder in folders
        for index, truth in enumerate(pictures(folder, every, side))
    ]


def parameters_of(
    method: str, prior: Prior, task: Task, problem: Problem, values: Values | None = None
) -> tuple[str, Any]:
    """Name of the solver and its parameters. values: of fields that were tuned."""
    name, given = METHODS[method]
    if given.get("mode") == "fast":
        found = preset(task.preset, "fast", problem.sigma_y)
        return name, dataclasses.replace(found, symmetry=prior.info.symmetries)
    tuned = {field: value for field, value in (values or {}).items() if field != "damping"}
    return name, SOLVERS[name].parameters(**given, **tuned)


def solver_of(prior: Prior, method: str, task: Task, problem: Problem, seed: int, values: Values) -> Solver:
    if "damping" in values:
        operator = dataclasses.replace(problem.operator, damping=values["damping"])
        problem = dataclasses.replace(problem, operator=operator)
    name, parameters = parameters_of(method, prior, task, problem, values)
    return SOLVERS[name].solve(problem, parameters, NoiseStream(seed))


@dataclasses.dataclass(frozen=True)
class Found:
    folder: str
    psnr: float
    ssim: float


def solve(
    prior: Prior, method: str, task: Task, sigma01: float, crops: list[Damaged], values: Values, rough: bool = False
) -> tuple[list[Found], Spent]:
    """rough: see `Counted`."""
    solvers = [
        solver_of(prior, method, task, measure(task, crop.truth, sigma01, crop.number), crop.number, values)
        for crop in crops
    ]
    denoiser = Counted(prior, METHODS[method][0] in NEEDS_GRADIENT, rough)
    solutions, spent = restore_together(solvers, denoiser)
    found = []
    for crop, solution in zip(crops, solutions, strict=True):
        x = solution.x.clamp(-1, 1)
        found.append(Found(crop.folder, float(psnr(x, crop.truth, 2)), float(ssim(x, crop.truth, 2))))
    return found, spent


def tune(prior: Prior, method: str, task: Task, sigma01: float, crops: list[Damaged]) -> Values:
    """The best of `TUNED`, one field after the other."""
    scores: dict[tuple[tuple[str, float], ...], float] = {}

    def score(values: Values) -> float:
        key = tuple(values.items())
        if key not in scores:
            scores[key] = mean(each.psnr for each in solve(prior, method, task, sigma01, crops, values, rough=True)[0])
        return scores[key]

    is_blur = isinstance(task.operator(64, 64, 0), Blur)
    grid = {field: choices for field, choices in TUNED.get(method, {}).items() if field != "damping" or is_blur}
    chosen: Values = {field: choices[0] for field, choices in grid.items()}
    for field, choices in grid.items():
        chosen = max((chosen | {field: choice} for choice in choices), key=score)
    return chosen


def mean(values: Any) -> float:
    values = list(values)
    return sum(values) / len(values)


def rows_of(prior: Prior, method: str, task: Task, sigma01: float, crops: list[Damaged], values: Values) -> list[Row]:
    """A row for each set."""
    found, spent = solve(prior, method, task, sigma01, crops, values)
    by_set: dict[str, list[Found]] = defaultdict(list)
    for each in found:
        by_set[each.folder].append(each)
    return [
        {
            "set": folder,
            "task": task.label,
            "sigma": sigma01,
            "method": method,
            "PSNR": mean(score.psnr for score in scores),
            "SSIM": mean(score.ssim for score in scores),
            "calls": spent.calls,
            "gradients": spent.gradients,
            "core s": spent.seconds,
            "MiB": spent.mib,
            "pictures": len(scores),
            "tuned": values,
            "PSNR each": [round(score.psnr, 3) for score in scores],
        }
        for folder, scores in by_set.items()
    ]


def remembered(name: str, method: str, task: Task, sigma01: float) -> Values:
    """What the table `name` was tuned to. StopIteration if it lacks the method."""
    rows = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    key = (method, task.label, sigma01)
    return next(row["tuned"] for row in rows if (row["method"], row["task"], row["sigma"]) == key)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    parser.add_argument("--tune", type=Path, help="folder of other pictures, to choose parameters on")
    parser.add_argument("--tuned-in", help="name of a table whose parameters are taken instead")
    parser.add_argument("--prior", help="default: that of the service")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--tasks", nargs="+", choices=[task.label for task in TASKS])
    parser.add_argument("--noise", type=float, nargs="+", default=NOISE_LEVELS)
    parser.add_argument("--every", type=int, default=12, help="take every n-th picture of each folder")
    parser.add_argument("--side", type=int, default=64, help="side of the centre crop")
    parser.add_argument("--tune-every", type=int, default=200, help="the same of the folder to tune on")
    parser.add_argument("--name", default="rivals", help="of the table")
    arguments = parser.parse_args()
    if not arguments.tune and not arguments.tuned_in:
        parser.error("one of --tune and --tuned-in is needed")
    prior = served(arguments.prior)
    crops = damaged(arguments.images, arguments.every, arguments.side)
    training = damaged([arguments.tune], arguments.tune_every, arguments.side) if arguments.tune else []
    settings_out = plain(arguments) | {"prior": prior.info.name, "tuned on": len(training)}
    rows: list[Row] = []
    chosen_tasks = [task for task in TASKS if not arguments.tasks or task.label in arguments.tasks]
    for task, sigma01 in itertools.product(chosen_tasks, arguments.noise):
        for method in arguments.methods:
            owner = LENT.get(method, method)
            if arguments.tuned_in and owner in TUNED:
                values = remembered(arguments.tuned_in, owner, task, sigma01)
            else:
                values = tune(prior, owner, task, sigma01, training)
            rows += rows_of(prior, method, task, sigma01, crops, values)
        publish(arguments.name, rows, settings_out)  # what is done stays, should the rest not be


def plain(arguments: argparse.Namespace) -> Row:
    """The options of a command as JSON has them; folders by their names."""
    tune_folder = arguments.tune.name if arguments.tune else None
    return vars(arguments) | {"images": [path.name for path in arguments.images], "tune": tune_folder}


if __name__ == "__main__":
    main()
