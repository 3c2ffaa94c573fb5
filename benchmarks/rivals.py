"""RED-Diff and its rivals on the same damaged pictures: `python -m benchmarks.rivals --images FOLDER... --tune FOLDER`.

Same prior, same measurements, same run; PSNR and SSIM of the clipped picture. `paper` RED-Diff gets the weight and the
learning rate that were best in PSNR for each task and noise level on the pictures of `--tune`; `fast` and the rivals
run with their own defaults. A call is one denoiser call, a gradient one vector-Jacobian product through the denoiser.
"""

import argparse
import dataclasses
import itertools
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from benchmarks.problems import TASKS, Task, measure, pictures
from benchmarks.report import Row, publish
from benchmarks.served import served
from priors.base import Prior
from solvers.catalogue import SOLVERS
from solvers.drive import answer, converse
from solvers.metrics import psnr, ssim
from solvers.noise import NoiseStream
from solvers.presets import preset
from solvers.query import Problem, Query

NOISE_LEVELS = (0.0, 0.01, 0.05)
"""Standard deviations on the [0, 1] scale."""
TUNED = {"prior_weight": (0.06, 0.25, 1.0, 4.0), "learning_rate": (0.02, 0.1)}
"""What the paper's mode is tuned over."""
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


@dataclass
class Counted:
    """A denoiser that counts what it is asked."""

    prior: Prior
    calls: int = 0
    gradients: int = 0

    def reply(self, query: Query) -> Tensor:
        if query.cotangent is None:
            self.calls += len(query.sigma)
        else:
            self.gradients += len(query.sigma)
        return answer(query, self.prior.denoise)


@dataclass(frozen=True)
class Found:
    psnr: float
    ssim: float
    calls: int
    gradients: int
    seconds: float


def parameters_of(
    method: str, prior: Prior, task: Task, problem: Problem, tuned: dict[str, float] | None = None
) -> tuple[str, Any]:
    """Name of the solver and its parameters. tuned: for the paper's mode."""
    name, given = METHODS[method]
    match given.get("mode"):
        case "fast":
            found = preset(task.preset, "fast", problem.sigma_y)
            return name, dataclasses.replace(found, symmetry=prior.info.symmetries)
        case "paper":
            return name, SOLVERS[name].parameters(**given, **(tuned or {}))
        case _:
            return name, SOLVERS[name].parameters(**given)


def solve(
    prior: Prior, method: str, task: Task, problem: Problem, truth: Tensor, seed: int, tuned: dict[str, float]
) -> Found:
    name, parameters = parameters_of(method, prior, task, problem, tuned)
    counted, began = Counted(prior), time.perf_counter()
    x = converse(SOLVERS[name].solve(problem, parameters, NoiseStream(seed)), counted.reply).x.clamp(-1, 1)
    seconds = time.perf_counter() - began
    return Found(float(psnr(x, truth, 2)), float(ssim(x, truth, 2)), counted.calls, counted.gradients, seconds)


def tune(prior: Prior, task: Task, sigma01: float, crops: list[Tensor]) -> dict[str, float]:
    """The values of `TUNED` that give the paper's mode, with 100 calls, the best mean PSNR."""

    def mean_psnr(values: dict[str, float]) -> float:
        problems = [measure(task, crop, sigma01, seed) for seed, crop in enumerate(crops)]
        scores = [
            solve(prior, "red_diff paper 100", task, problem, crop, seed, values).psnr
            for seed, (problem, crop) in enumerate(zip(problems, crops, strict=True))
        ]
        return sum(scores) / len(scores)

    grid = [dict(zip(TUNED, values, strict=True)) for values in itertools.product(*TUNED.values())]
    return max(grid, key=mean_psnr)


def mean(found: list[Found], field: Callable[[Found], float]) -> float:
    return sum(map(field, found)) / len(found)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=Path, nargs="+", required=True, help="folders of clean pictures")
    parser.add_argument("--tune", type=Path, required=True, help="folder of other pictures, for the paper's mode")
    parser.add_argument("--prior", help="default: that of the service")
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--tasks", nargs="+", choices=[task.label for task in TASKS])
    parser.add_argument("--every", type=int, default=12, help="take every n-th picture of each folder")
    parser.add_argument("--side", type=int, default=64, help="side of the centre crop")
    parser.add_argument("--tune-every", type=int, default=200, help="the same of the folder to tune on")
    parser.add_argument("--name", default="rivals", help="of the table")
    arguments = parser.parse_args()
    prior = served(arguments.prior)
    crops = pictures(arguments.tune, arguments.tune_every, arguments.side)
    rows: list[Row] = []
    for task in (task for task in TASKS if not arguments.tasks or task.label in arguments.tasks):
        for sigma01 in NOISE_LEVELS:
            is_tuned = any("paper" in method for method in arguments.methods)
            tuned = tune(prior, task, sigma01, crops) if is_tuned else {}
            rows += table(prior, task, sigma01, tuned, arguments)
            publish(arguments.name, rows, plain(arguments) | {"prior": prior.info.name, "tuned on": len(crops)})


def table(
    prior: Prior, task: Task, sigma01: float, tuned: dict[str, float], arguments: argparse.Namespace
) -> list[Row]:
    """A row for each set and method."""
    found: dict[tuple[str, str], list[Found]] = defaultdict(list)
    for folder in arguments.images:
        for seed, truth in enumerate(pictures(folder, arguments.every, arguments.side)):
            problem = measure(task, truth, sigma01, seed)
            for method in arguments.methods:
                found[folder.name, method].append(solve(prior, method, task, problem, truth, seed, tuned))
    return [
        {
            "set": folder,
            "task": task.label,
            "sigma": sigma01,
            "method": method,
            "PSNR": mean(scores, lambda score: score.psnr),
            "SSIM": mean(scores, lambda score: score.ssim),
            "calls": mean(scores, lambda score: score.calls),
            "gradients": mean(scores, lambda score: score.gradients),
            "seconds": mean(scores, lambda score: score.seconds),
            "pictures": len(scores),
            **(tuned if "paper" in method else {}),
        }
        for (folder, method), scores in found.items()
    ]


def plain(arguments: argparse.Namespace) -> Row:
    """The options of a command as JSON has them; folders by their names."""
    paths = {key: [path.name for path in value] for key, value in vars(arguments).items() if key == "images"}
    return vars(arguments) | paths | {"tune": arguments.tune.name}


if __name__ == "__main__":
    main()
