"""How sure a restoration is of each value: a solver around a solver.

The restoring solver runs first and is not touched. An ensemble then starts from its picture: every member is noised,
denoised and brought back to a measurement with fresh noise of its own, while the level falls. Where the measurement and
the prior leave a choice, the members part; their mean square distance from the restoration, smoothed over a few pixels
and calibrated, is the square of the deviation. (Not restarts of the solver: these agree with each other where all are
wrong.)
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers.calibration import Calibration
from solvers.checks import check_finite
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.query import Problem, Query, Solution, Solver

METHODS = ("ensemble",)
DRAW = 1
"""Of the noise stream; restoring solvers use draw 0."""


@dataclass(frozen=True)
class UncertaintySettings:
    """What is asked for. `with_uncertainty` costs `samples` x `steps` denoiser calls after the restoration."""

    task: str
    """Kind of the operator: inpaint, super_resolution, denoise, deblur, ..."""
    method: str = "ensemble"
    samples: int = 8
    steps: int = 6
    calibration: Calibration = Calibration()
    """Of the prior, for the task: `read_calibrations(prior folder / calibration.FILE).get(task, Calibration())`."""


def with_uncertainty(solver: Solver, problem: Problem, settings: UncertaintySettings, noise: NoiseStream) -> Solver:
    """`solver`'s solution for one picture with its `deviation`, (1, C, H, W), and the `samples` it is made from.

    Asks `settings.steps` queries of `settings.samples` rows after those of `solver`. `noise` may be the stream of
    `solver`. Holes of an exact inpainting have a deviation, its known pixels none. `Solution.metrics` gains
    `uncertainty_calibrated`, 1 or 0. Raises SolverDiverged.
    """
    solution = yield from solver
    members = yield from ensemble(solution, problem, settings, noise)
    spread = (members - solution.x).square().mean(0, keepdim=True).sqrt()
    deviation = settings.calibration.apply(spread)
    metrics = solution.metrics | {"uncertainty_calibrated": float(settings.calibration.measured)}
    return replace(solution, deviation=deviation, samples=members, metrics=metrics)


def ensemble(solution: Solution, problem: Problem, settings: UncertaintySettings, noise: NoiseStream) -> Solver:
    """The members, (S, C, H, W)."""
    y, operator, sigma_y = problem.measurement, problem.operator, problem.sigma_y
    z = solution.x.repeat(settings.samples, 1, 1, 1)  # (S, C, H, W)
    y = y.repeat(settings.samples, 1, 1, 1)
    for step, sigma in enumerate(geometric_levels(0.3, max(0.02, sigma_y / 2), settings.steps)):
        query = z + sigma * noise.normal(step, z, DRAW)
        level = query.new_full((settings.samples,), sigma)
        denoised = yield Query(query, level, step, settings.steps, solution.x, solution.data_residual)
        check_finite(denoised, step, "the denoised image")
        perturbed = y + sigma_y * noise.normal(step, y, DRAW + 1)
        z = operator.prox(perturbed, denoised, max((sigma_y / sigma) ** 2, 1e-3))
    return z
