"""A photograph: the sweeps of ScoreDVI, and what they know nothing of.

The sweeps take noise off however far it is correlated, and the weakest texture with it. A denoiser of white noise that
is shown the photograph itself keeps texture, and leaves of correlated noise what is coarse; so it is shown the
photograph at a quarter of its size, too, where that noise is white. The two ways err in other places, so that on
photographs their mean is nearer to the truth than the sweeps, and hardly behind them where those are at their best.
"""

import dataclasses
from collections.abc import Generator

from torch import Tensor
from torch.nn import functional

from solvers.checks import check_finite, root_mean_square
from solvers.development import brightened
from solvers.noise import NoiseStream
from solvers.noise_reading import WEAKEST
from solvers.query import Problem, Query, Solution, Solver, after, saying
from solvers.score_dvi_fast import FastSettings, score_dvi_fast

DIRECT = 1 / 3
"""Part of the direct way in the mean. More of it gains on simulated cameras, but they are what the denoiser was trained
with."""
TOLD = 1.5
"""Level that the denoiser is told of the photograph itself, over that of the noise: it takes more off, then."""
REDUCED, SMALLEST = 4, 16
"""How many pixels of a side become one where noise is to be white, and the smallest side that this leaves."""
CALLS = 2
"""Of the direct way."""
TINY = 1e-12
UNTOUCHED = 0.49 / 127.5
"""Root mean square by which a picture that is rather clean is changed at most."""
DEVIATION = 0.75
"""Of the errors over what the sweeps say: with it nine of ten errors lie within 1.645 deviations, in the mean over the
simulated cameras of `benchmarks.blindness` and 8 training photographs each, 0.89 to 0.93 by camera."""


def photograph_mean(problem: Problem, settings: FastSettings, told: float, noise: NoiseStream) -> Solver:
    """`score_dvi_fast` and the direct way in the mean, as bright as the light was.

    told: level of the noise for a denoiser; 0 for the sweeps alone. Of a mixture the first denoiser goes the direct
    way.
    """
    y, calls = problem.measurement, CALLS if told else 0
    swept = yield from after(0, score_dvi_fast(problem, settings, noise), then=calls)
    x = swept.x
    if calls:
        direct = yield from direct_way(y, swept, told, round(swept.metrics["sweeps"]) * settings.components)
        x = x.lerp(direct, DIRECT)
    x = brightened(x, y)
    residual, deviation = root_mean_square(y - x), DEVIATION * swept.deviation
    return dataclasses.replace(swept, x=x, data_residual=residual, deviation=deviation)


def direct_way(y: Tensor, swept: Solution, told: float, calls: int) -> Generator[Query, Tensor, Tensor]:
    """What the denoiser makes of `y`, its coarse parts as it makes them of a smaller `y`. calls: made before."""
    size = y.shape[-2:]
    small = tuple(min(side, max(SMALLEST, round(side / REDUCED))) for side in size)
    shown, clean = resized(y, small), resized(swept.x, small)
    left = root_mean_square(shown - clean) / max(swept.data_residual, TINY)  # of the noise, where it is smaller

    def ask(x: Tensor, mean: Tensor, level: float, step: int) -> Generator[Query, Tensor, Tensor]:
        sigma = y.new_full((1,), max(level, WEAKEST))
        answer = yield Query(x, sigma, step, calls + CALLS, swept.x, swept.data_residual, lambda: mean)
        check_finite(answer, step, "the denoised image")
        return answer

    direct = yield from ask(y, swept.x, TOLD * told, calls)
    coarse = yield from ask(shown, clean, left * told, calls + 1)
    return direct + resized(coarse - resized(direct, small), size)


def resized(x: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(x, size, mode="bicubic", antialias=True)


def doubted(solver: Solver, y: Tensor, probability: float) -> Solver:
    """Moments of a picture that is `y` itself unless it has noise, and `solver`'s if so. The noise map is of then.

    Of a picture that is rather clean no more than `UNTOUCHED` is taken off.
    """

    def part(residual: float) -> float:
        return probability if probability >= 0.5 else min(probability, UNTOUCHED / max(residual, TINY))

    def shown(query: Query) -> Query:
        if query.estimate is None or query.data_residual is None:
            return query
        taken = part(query.data_residual)
        return dataclasses.replace(
            query, estimate=y.lerp(query.estimate, taken), data_residual=taken * query.data_residual
        )

    solution = yield from saying(solver, shown)
    removed, taken, deviation = y - solution.x, part(solution.data_residual), solution.deviation
    if deviation is not None:
        spread = probability * (1 - taken) ** 2 + (1 - probability) * taken**2
        deviation = (probability * deviation.square() + spread * removed.square()).sqrt()
    return dataclasses.replace(
        solution, x=y - taken * removed, data_residual=taken * solution.data_residual, deviation=deviation
    )
