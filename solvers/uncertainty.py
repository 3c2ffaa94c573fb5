"""How sure a restoration is of each pixel: a solver around a solver.

The restoring solver runs first and its picture stays as it is. Then members part from it, several a query: at falling
levels each is noised, denoised and brought to a measurement with fresh noise of its own,

    z <- prox(y + sigma_y n', D(z + sigma n, sigma); rho),   rho = sigma_y^2 / sigma^2.

For a Gaussian prior of covariance C, with J = C (C + sigma^2)^-1 and G = rho (H^T H + rho)^-1, the members' covariance
follows V <- G J (V + sigma^2) J G + (sigma_y / rho)^2 G H^T H G. With many levels 2 V tends to that of the posterior:
these are Langevin steps with half of their variance, so that every query has the noise that the denoiser is told. The
spread is sqrt(2) times the members' distance from the picture. (Restarts of the solver would agree where all are
wrong.)

White noise on the picture itself needs no levels: the posterior covariance is sigma_y^2 J for every prior, J being the
Jacobian of D at y (Efron 2011, "Tweedie's formula and selection bias"). Its diagonal is probed with random directions.

Mean squares are smoothed over a few pixels; calibration makes the spread, the root of the variance, a deviation.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from solvers.calibration import Calibration
from solvers.checks import check_finite
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream, normal_each
from solvers.operators.base import AnyOperator
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.parameters import bounded, check_fields
from solvers.query import Problem, Query, Solution, Solver
from solvers.window import gaussian_sums

SIGMA_MAX = 0.5
"""First level, or the noise of the measurement where that is more."""
SIGMA_END = 0.02
"""Last level, or half of the noise of the measurement."""
RHO_MIN = 1e-3
"""Weight of the prior for an exact measurement."""
PROBE = 0.2
"""Length of a probe, as a fraction of the noise of the measurement."""
WIDTH = 1.5
"""Of the Gaussian window, in pixels."""
QUERY, MEASUREMENT = 14, 15
"""Draws of a member for its queries and its measurement, behind those of restoring solvers; see `normal_each`."""


@dataclass(frozen=True)
class UncertaintySettings:
    """What is asked for. Raises ValueError naming the field."""

    task: str
    """inpaint, super_resolution, denoise, deblur, ...: what `calibration` was measured for."""
    method: str = bounded("ensemble", among=("ensemble",))
    samples: int = bounded(8, ge=2, le=64)
    """Members."""
    steps: int = bounded(6, ge=1, le=1000)
    """Levels, each a denoiser call a member. White noise on the picture itself takes two calls a member instead."""
    rows: int = bounded(8, ge=1, le=64)
    """Members that share their queries. The answer is the same, fewer take less memory."""
    calibration: Calibration = Calibration()
    """See `calibration.read_calibration`."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Group:
    """Members that share their queries. Each is the same whomever it shares them with."""

    noise: NoiseStream
    numbers: range

    def repeat(self, x: Tensor) -> Tensor:
        return x.repeat(len(self.numbers), 1, 1, 1)

    def normal(self, step: int, like: Tensor, draw: int) -> Tensor:
        """White noise in the shape of `like`, a draw of its own for each member."""
        return normal_each(self.noise, step, like, self.numbers, draw)


@dataclass(frozen=True)
class Spread:
    """What a group has to say."""

    members: Tensor
    """(R, C, H, W)."""
    moments: Tensor
    """(M, 1, H, W), sums over the members and means over the channels of what `variance_of` asks for."""


Spreading = Generator[Query, Tensor, Spread]
End = TypeVar("End")


def with_uncertainty(solver: Solver, problem: Problem, settings: UncertaintySettings, noise: NoiseStream) -> Solver:
    """The solution of `solver` for one picture, with its `deviation` and the members as `samples`.

    The deviation, (1, C, H, W) on the [-1, 1] scale, is the same in all channels; 0 where the picture is known exactly.
    Costs `queries_of` further queries. `noise` may be the stream of `solver`. `metrics["uncertainty_calibrated"]` is 1,
    or 0 where the calibration was not measured. Raises SolverDiverged.
    """
    operator, members, moments = problem.operator, [], torch.zeros(())
    spreading = probe if isinstance(operator, Identity) else anneal
    left = queries_of(problem, settings)
    made, solution = yield from _renumbered(solver, 0, left)
    for first in range(0, settings.samples, settings.rows):
        group = Group(noise, range(first, min(first + settings.rows, settings.samples)))
        left -= calls_of(problem, settings)
        asked, spread = yield from _renumbered(spreading(solution, problem, settings, group), made, left)
        made, moments = made + asked, moments + spread.moments
        members.append(spread.members)
    variance = variance_of(moments / settings.samples, problem)
    check_finite(variance, made, "the variance")
    deviation = settings.calibration.apply(variance.sqrt(), gap_of(operator)).expand_as(solution.x).contiguous()
    metrics = solution.metrics | {"uncertainty_calibrated": float(settings.calibration.measured)}
    return replace(solution, deviation=deviation, samples=torch.cat(members), metrics=metrics)


def calls_of(problem: Problem, settings: UncertaintySettings) -> int:
    """Denoiser calls that each member takes."""
    if isinstance(problem.operator, Identity):
        return 0 if problem.sigma_y == 0 else 2
    return settings.steps


def queries_of(problem: Problem, settings: UncertaintySettings) -> int:
    """Queries that the uncertainty takes, of up to `settings.rows` rows each."""
    return calls_of(problem, settings) * math.ceil(settings.samples / settings.rows)


def anneal(solution: Solution, problem: Problem, settings: UncertaintySettings, group: Group) -> Spreading:
    """Members part at falling levels. Their moment: square of the distance from the solution."""
    operator, sigma_y = problem.operator, problem.sigma_y
    z, y = group.repeat(solution.x), group.repeat(problem.measurement)
    levels = geometric_levels(max(SIGMA_MAX, sigma_y), max(SIGMA_END, sigma_y / 2), settings.steps)
    for step, sigma in enumerate(levels):
        noisy = group.normal(step, z, QUERY).mul_(sigma).add_(z)
        denoised = yield _query(noisy, sigma, step, len(levels), solution, z)
        check_finite(denoised, step, "the denoised image")
        measured = group.normal(step, y, MEASUREMENT).mul_(sigma_y).add_(y)
        z = operator.prox(measured, denoised, max((sigma_y / sigma) ** 2, RHO_MIN))
    return Spread(z, _moment((z - solution.x).square()))


def probe(solution: Solution, problem: Problem, settings: UncertaintySettings, group: Group) -> Spreading:
    """Members are solution + sigma_y J n. Moments: of n J n, whose mean is the diagonal of J, and of (J n)^2."""
    y, sigma_y = group.repeat(problem.measurement), problem.sigma_y
    if sigma_y == 0:
        return Spread(group.repeat(solution.x), y.new_zeros(2, 1, *y.shape[-2:]))
    directions, sigma = group.normal(0, y, QUERY), math.hypot(1, PROBE) * sigma_y
    plus = yield _query(y + PROBE * sigma_y * directions, sigma, 0, 2, solution)
    minus = yield _query(y - PROBE * sigma_y * directions, sigma, 1, 2, solution)
    response = (plus - minus) / (2 * PROBE * sigma_y)  # J n
    moments = torch.cat([_moment(directions * response), _moment(response.square())])
    return Spread(solution.x + sigma_y * response, moments)


def variance_of(moments: Tensor, problem: Problem) -> Tensor:
    """(1, 1, H, W) before calibration, of the mean moments of `anneal`, (1, 1, H, W), or of `probe`, (2, 1, H, W).

    The diagonal of J as a mean of few probes (Hutchinson 1990) may come out anywhere, even negative. The diagonal of
    J^2 is less noisy and keeps it in bounds: an entry of J's is at most the root of that of J^2, and at least that
    itself where no eigenvalue is above 1, as they are between two bumps of a prior: there the bound from below is 1.
    """
    operator, sigma_y = problem.operator, problem.sigma_y
    if isinstance(operator, Identity):
        diagonal, square = smooth(moments).split(1)
        return sigma_y**2 * torch.minimum(torch.maximum(diagonal, square.clamp(max=1)), square.sqrt())
    if not isinstance(operator, Mask):
        return 2 * smooth(moments)
    known = operator.observed.to(moments)[None, None]  # known pixels and holes for themselves
    holes = (1 - known) * smooth(moments, 1 - known)
    return 2 * (holes if sigma_y == 0 else holes + known * smooth(moments, known))


def gap_of(operator: AnyOperator) -> Tensor | float:
    """Pixels to what is measured, at least 1: for a mask (1, 1, H, W) float32, smoothed, else one number."""
    if not isinstance(operator, Mask):
        return max(1.0, math.prod(operator.input_shape) / math.prod(operator.output_shape)) ** 0.5
    hole = (~operator.observed).float()[None, None]
    return smooth(city_block(operator.observed)[None, None], hole).clamp(min=1)


def city_block(observed: Tensor) -> Tensor:
    """Steps along rows and columns from each pixel to the nearest known one. (H, W) bool to (H, W) float32."""
    distance = torch.zeros(observed.shape, device=observed.device).masked_fill(~observed, float(sum(observed.shape)))
    for axis in (0, 1):
        place = torch.arange(observed.shape[axis], dtype=distance.dtype, device=distance.device)
        place = place[:, None] if axis == 0 else place
        before = (distance - place).cummin(axis).values + place
        after = (distance + place).flip(axis).cummin(axis).values.flip(axis) - place
        distance = torch.minimum(before, after)
    return distance


def smooth(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Means under a Gaussian window. values: (M, 1, H, W). weight: (1, 1, H, W), at least 0; all alike where None."""
    weight = torch.ones_like(values[:1]) if weight is None else weight
    sums = gaussian_sums(torch.cat([values * weight, weight]), WIDTH)  # (M + 1, 1, H, W)
    return sums[:-1] / sums[-1:].clamp(min=torch.finfo(values.dtype).tiny)


def _moment(x: Tensor) -> Tensor:
    return x.mean(1, keepdim=True).sum(0, keepdim=True)  # (1, 1, H, W)


def _renumbered(
    solver: Generator[Query, Tensor, End], before: int, after: int
) -> Generator[Query, Tensor, tuple[int, End]]:
    """Run `solver` between so many other queries. Returns how many it made, and what it returned."""
    made, pending = 0, []
    try:
        pending.append(next(solver))
        while True:
            query, made = pending.pop(), made + 1
            pending.append(replace(query, step=query.step + before, total=query.total + before + after))
            del query  # in a variable it would keep its pictures while `solver` goes on
            pending.append(solver.send((yield pending.pop())))
    except StopIteration as end:
        return made, end.value


def _query(x: Tensor, sigma: float, step: int, total: int, solution: Solution, mean: Tensor | None = None) -> Query:
    level, known = x.new_full((len(x),), sigma), None if mean is None else lambda: mean
    return Query(x, level, step, total, solution.x, solution.data_residual, known)
