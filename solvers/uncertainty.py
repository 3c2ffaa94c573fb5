"""How sure a restoration is of each pixel: a solver around a solver.

The restoring solver runs first and its picture stays as it is. Then members part from it, several a query: at falling
levels each is noised, denoised and brought to a measurement with fresh noise of its own,

    z <- prox(y + sigma_y n', D(z + sigma n, sigma); rho),   rho = sigma_y^2 / sigma^2.

For a Gaussian prior of covariance C, with J = C (C + sigma^2)^-1 and G = rho (H^T H + rho)^-1, the members' covariance
follows V <- G J (V + sigma^2) J G^T + sigma^2 G (H^T H) G^T. With many levels 2 V tends to the posterior covariance:
these are Langevin steps of half the noise, so that every query has the noise that the denoiser is told. The spread is
sqrt(2) times the members' distance from the picture. (Restarts of the solver would agree where all of them are wrong.)

White noise on the picture itself needs no levels: the posterior covariance is sigma_y^2 J for every prior, J being the
Jacobian of D at y (Efron 2011, "Tweedie's formula and selection bias"). Its diagonal is probed with random directions.

Mean squares are smoothed over a few pixels; calibration makes the spread a deviation.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from solvers.calibration import Calibration
from solvers.checks import check_finite
from solvers.levels import geometric_levels
from solvers.noise import NoiseStream
from solvers.operators.base import AnyOperator
from solvers.operators.identity import Identity
from solvers.operators.mask import Mask
from solvers.parameters import bounded, check_fields
from solvers.query import Problem, Query, Solution, Solver

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
MEMBER_DRAWS = 16
"""Draws of the noise stream between two members. Those of restoring solvers come before `QUERY`."""
QUERY, MEASUREMENT = 14, 15
"""Draws of a member for its queries and its measurement."""


@dataclass(frozen=True)
class UncertaintySettings:
    """What is asked for. Raises ValueError naming the field."""

    task: str
    """inpaint, super_resolution, denoise, deblur, ...: what `calibration` was measured for."""
    method: str = bounded("ensemble", among=("ensemble",))
    samples: int = bounded(8, ge=2, le=64)
    """Members, rows of each query."""
    steps: int = bounded(6, ge=1, le=1000)
    """Levels, each a query. White noise on the picture itself takes two queries instead."""
    calibration: Calibration = Calibration()
    """See `calibration.read_calibration`."""

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True)
class Ensemble:
    members: Tensor
    """(S, C, H, W)."""
    variance: Tensor
    """(1, 1, H, W), mean over the channels, smoothed; before calibration."""


Spreading = Generator[Query, Tensor, Ensemble]


def with_uncertainty(solver: Solver, problem: Problem, settings: UncertaintySettings, noise: NoiseStream) -> Solver:
    """The solution of `solver` for one picture, with its `deviation` and the members as `samples`.

    The deviation, (1, C, H, W) on the [-1, 1] scale, is the same in all channels; 0 where the picture is known exactly.
    Costs `queries_of` further queries of `samples` rows. `noise` may be the stream of `solver`.
    `metrics["uncertainty_calibrated"]` is 1, or 0 where the calibration was not measured. Raises SolverDiverged.
    """
    more = queries_of(problem, settings)
    made, solution = yield from _restoration(solver, more)
    spreading = probes if isinstance(problem.operator, Identity) else anneal
    found = yield from spreading(solution, problem, settings, noise, made)
    check_finite(found.variance, made + more, "the variance")
    values, measurements = (math.prod(shape) for shape in (problem.operator.input_shape, problem.operator.output_shape))
    deviation = settings.calibration.apply(found.variance.sqrt(), values / measurements).expand_as(solution.x)
    metrics = solution.metrics | {"uncertainty_calibrated": float(settings.calibration.measured)}
    return replace(solution, deviation=deviation.contiguous(), samples=found.members, metrics=metrics)


def queries_of(problem: Problem, settings: UncertaintySettings) -> int:
    """Queries that the uncertainty takes, of `settings.samples` rows each."""
    if isinstance(problem.operator, Identity):
        return 0 if problem.sigma_y == 0 else 2
    return settings.steps


def anneal(
    solution: Solution, problem: Problem, settings: UncertaintySettings, noise: NoiseStream, made: int
) -> Spreading:
    """The ensemble of the module, after `made` queries."""
    operator, sigma_y, samples = problem.operator, problem.sigma_y, settings.samples
    z = solution.x.repeat(samples, 1, 1, 1)  # (S, C, H, W)
    y = problem.measurement.repeat(samples, 1, 1, 1)
    first = max(SIGMA_MAX, sigma_y)
    levels = geometric_levels(first, max(SIGMA_END, sigma_y / 2), settings.steps)
    for step, sigma in enumerate(levels, made):
        noisy = _normal(noise, step, z, QUERY).mul_(sigma).add_(z)
        denoised = yield _query(noisy, sigma, step, made + len(levels), solution, mean=z)
        check_finite(denoised, step, "the denoised image")
        measured = _normal(noise, step, y, MEASUREMENT).mul_(sigma_y).add_(y)
        z = operator.prox(measured, denoised, max((sigma_y / sigma) ** 2, RHO_MIN))
    variance = 2 * (z - solution.x).square().mean((0, 1), keepdim=True)
    if isinstance(operator, Mask) and sigma_y == 0:
        variance = variance * ~operator.observed
    return Ensemble(z, smooth(variance, operator))


def probes(
    solution: Solution, problem: Problem, settings: UncertaintySettings, noise: NoiseStream, made: int
) -> Spreading:
    """sigma_y^2 times the diagonal of J, by E[n J n] (Hutchinson 1990); the members are solution + sigma_y J n.

    Of few probes that may come out anywhere, even negative. E[(J n)^2], the diagonal of J^2, is less noisy and keeps it
    in bounds: a diagonal is at most the root of that of the square, and at least that itself, where no eigenvalue is
    above 1. Eigenvalues above 1 mean more variance than the noise has, between two bumps of the prior.
    """
    y, sigma_y = problem.measurement, problem.sigma_y
    x = solution.x.repeat(settings.samples, 1, 1, 1)  # (S, C, H, W)
    if sigma_y == 0:
        return Ensemble(x, torch.zeros_like(x[:1, :1]))
    directions, length, sigma = _normal(noise, 0, x, QUERY), PROBE * sigma_y, math.hypot(1, PROBE) * sigma_y
    plus = yield _query(y + length * directions, sigma, made, made + 2, solution)
    minus = yield _query(y - length * directions, sigma, made + 1, made + 2, solution)
    response = (plus - minus) / (2 * PROBE)  # sigma_y J n
    diagonal = smooth((directions * response / sigma_y).mean((0, 1), keepdim=True))
    square = smooth((response / sigma_y).square().mean((0, 1), keepdim=True))
    variance = sigma_y**2 * torch.minimum(torch.maximum(diagonal, square.clamp(max=1)), square.sqrt())
    return Ensemble(x + response, variance)


def smooth(variance: Tensor, operator: AnyOperator | None = None) -> Tensor:
    """Mean of (1, 1, H, W) under a Gaussian window; known pixels and holes of a mask for themselves."""
    if not isinstance(operator, Mask):
        return _mean_around(variance, torch.ones_like(variance))
    known = operator.observed.to(variance)[None, None]
    return known * _mean_around(variance, known) + (1 - known) * _mean_around(variance, 1 - known)


def _mean_around(values: Tensor, weight: Tensor) -> Tensor:
    reach = math.ceil(3 * WIDTH)
    distance = torch.arange(-reach, reach + 1, dtype=values.dtype, device=values.device)
    profile = torch.exp(-0.5 * (distance / WIDTH) ** 2)
    sums = torch.cat([values * weight, weight], dim=0)  # (2, 1, H, W)
    sums = functional.conv2d(sums, profile.reshape(1, 1, -1, 1), padding=(reach, 0))
    total, weights = functional.conv2d(sums, profile.reshape(1, 1, 1, -1), padding=(0, reach)).split(1)
    return total / weights.clamp(min=torch.finfo(values.dtype).tiny)


def _restoration(solver: Solver, more: int) -> Generator[Query, Tensor, tuple[int, Solution]]:
    """Run `solver`, whose queries announce `more` to come. Returns how many it made, and its solution."""
    made, pending = 0, []
    try:
        pending.append(next(solver))
        while True:
            query, made = pending.pop(), made + 1
            pending.append(replace(query, total=query.total + more))
            del query  # in a variable it would keep its pictures while `solver` goes on
            pending.append(solver.send((yield pending.pop())))
    except StopIteration as end:
        return made, end.value


def _normal(noise: NoiseStream, step: int, like: Tensor, draw: int) -> Tensor:
    """White noise, a draw of its own for each row: member k is the same however many there are."""
    return torch.cat([noise.normal(step, row, MEMBER_DRAWS * k + draw) for k, row in enumerate(like.split(1))])


def _query(x: Tensor, sigma: float, step: int, total: int, solution: Solution, mean: Tensor | None = None) -> Query:
    level = x.new_full((len(x),), sigma)
    known = None if mean is None else lambda: mean
    return Query(x, level, step, total, solution.x, solution.data_residual, known)
