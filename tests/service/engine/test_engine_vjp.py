"""Solvers that differentiate through their prior: what the engine answers is what automatic differentiation says."""

import dataclasses
import itertools
import time
from collections.abc import Callable
from concurrent.futures import CancelledError

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior
from priors.base import Prior
from priors.tiling import Blend, cut, pad, plan_tiles
from service.engine.engine import DeadlineExceeded, Engine, NotDifferentiable, OutOfMemory
from service.engine.lane import usable_tiles
from service.engine.scheduler import Kind
from solvers.drive import drive
from solvers.operators.mask import Mask
from solvers.query import Query, Solution, Solver, SolverDiverged
from tests.service.engine.parts import (
    PRIOR,
    WAIT_S,
    Allergic,
    Gate,
    Recorder,
    SmallMemory,
    assert_good,
    fixed_point,
    good,
    image,
    random_unet_prior,
    submit_beside,
)

MIXTURE = GaussianMixturePrior([0.4, 0.6], [-0.5, 0.6], 0.05)
TILES = (64, 128, 256)


def guided(y: Tensor, sigmas: list[float], observed: Tensor | None = None) -> Solver:
    """As DPS goes, but for its noise: from level to level, each time down the gradient of |y - H D(x)|^2 / 2 in x."""
    operator = Mask(torch.ones(y.shape[-2:], dtype=torch.bool) if observed is None else observed)
    x, total = sigmas[0] * y.flip(-1), 2 * len(sigmas)
    for step, (sigma, following) in enumerate(itertools.pairwise([*sigmas, 0.0])):
        level = x.new_full((len(x),), sigma)
        x0 = yield Query(x, level, 2 * step, total, x)
        residual = operator.adjoint(operator.forward(x0) - y)
        gradient = yield Query(x, level, 2 * step + 1, total, x0, cotangent=residual)
        x = x0 + following / sigma * (x - x0) - 0.3 * gradient
    return Solution(x, 0.0)


def masked(height: int, width: int, seed: int, steps: int = 3) -> Solver:
    observed = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) < 0.5
    y = 0.3 * image(height, width, seed) * observed
    return guided(y, [2.0 / (1 + seed % 3 + step) for step in range(steps)], observed)


def tiled(prior: Prior, sizes: tuple[int, ...] = TILES) -> Callable[[Tensor, Tensor], Tensor]:
    """The whole denoiser that the engine makes of `prior`, for automatic differentiation."""

    def denoise(x: Tensor, sigma: Tensor) -> Tensor:
        usable = usable_tiles(prior.info, sizes, None)
        grid = plan_tiles(*x.shape[-2:], usable, prior.info.multiple_of)
        padded, blend = pad(x, grid), Blend(grid)
        for index in range(len(grid.origins)):
            blend.add(index, prior.denoise(cut(padded, grid, index), sigma))
        return blend.result()

    return denoise


def tiles_of(recorder: Recorder, kind: Kind) -> list[int]:
    """In each call of this kind."""
    return [tiles for (_, tiles), each in zip(recorder.batches, recorder.kinds, strict=True) if each is kind]


def difference(x: Tensor, y: Tensor) -> float:
    return float((x - y).abs().max())


@pytest.mark.parametrize("size", [(64, 64), (128, 128)])
def test_on_one_tile_the_engine_equals_the_plain_driver(make_engine, size: tuple[int, int]) -> None:
    prior = random_unet_prior()
    outcome = make_engine(prior).submit("job", lambda: masked(*size, 1), "p").result(WAIT_S)
    assert difference(outcome.solution.x, drive(masked(*size, 1), prior.denoise).x) < 1e-5
    assert outcome.denoiser_calls == 6


@pytest.mark.parametrize("prior", [random_unet_prior(), MIXTURE], ids=["network", "mixture"])
@pytest.mark.parametrize("size", [(100, 70), (33, 150), (16, 16)])
def test_over_many_tiles_it_equals_the_driver_of_the_tiled_denoiser(
    make_engine, prior: Prior, size: tuple[int, int]
) -> None:
    solution = make_engine(prior).submit("job", lambda: masked(*size, 1), "p").result(WAIT_S).solution
    assert difference(solution.x, drive(masked(*size, 1), tiled(prior)).x) < 1e-5


def test_without_tiles_a_pointwise_prior_notices_none_of_them(make_engine) -> None:
    """Exact: the Jacobian of a mixture, pixel by pixel."""
    solution = make_engine(MIXTURE, tile_sizes=(64,)).submit("job", lambda: masked(150, 90, 2), "p").result(WAIT_S)
    assert difference(solution.solution.x, drive(masked(150, 90, 2), MIXTURE.denoise).x) < 1e-5


def test_each_row_has_its_own_level_and_cotangent(engine: Engine) -> None:
    x, v = (torch.cat([image(70, 90, seed) for seed in range(first, first + 3)]) for first in (0, 5))
    sigma = torch.tensor([0.1, 0.5, 2.0])

    def solver() -> Solver:
        return Solution((yield Query(x, sigma, 0, 1, cotangent=v)), 0.0)

    gains = PRIOR.variance / (PRIOR.variance + sigma.reshape(-1, 1, 1, 1) ** 2)
    answer = engine.submit("job", solver, "p").result(WAIT_S).solution.x
    assert difference(answer, gains * v) < 1e-5


def test_guided_and_plain_jobs_in_one_busy_engine_each_equal_the_plain_driver(make_engine) -> None:
    prior, recorder, gate = random_unet_prior(), Recorder(), Gate()
    sizes = [(64, 64), (40, 100), (16, 50), (64, 64)]
    starts: list[Callable[[], Solver]] = []
    for number, size in enumerate(2 * sizes):
        starts.append(lambda n=number, s=size: masked(*s, n, steps=2 + n % 3))
        starts.append(lambda n=number, s=size: fixed_point(image(*s, n), 0.2, 0.1 + 0.05 * n, steps=4))
    engine = make_engine(prior, observe=recorder)
    engine.submit("gate", gate.start, "p")
    futures = [engine.submit(f"job-{number}", start, "p") for number, start in enumerate(starts)]
    gate.open()
    denoise = tiled(prior)
    for future, start in zip(futures, starts, strict=True):
        assert difference(future.result(WAIT_S).solution.x, drive(start(), denoise).x) < 1e-4
    assert max(tiles_of(recorder, Kind.VJP)) > 4  # jobs share these calls, too
    assert max(tiles_of(recorder, Kind.DENOISE)) > 10


# Ends


def test_a_prior_that_cannot_be_differentiated_is_not_asked(make_engine) -> None:
    prior = SmallMemory()
    prior.info = dataclasses.replace(prior.info, differentiable=False)
    engine, x = make_engine(prior), image(64, 64)
    assert_good(engine.submit("good", good, "p"))
    asked = len(prior.shapes)

    def solver() -> Solver:
        yield Query(x, torch.ones(1), 0, 1, cotangent=x)

    with pytest.raises(NotDifferentiable, match="and gaussian cannot do that"):
        engine.submit("bad", solver, "p").result(WAIT_S)
    assert len(prior.shapes) == asked
    assert_good(engine.submit("next", good, "p"))


def endless(x: Tensor) -> Solver:
    for step in itertools.count():
        yield Query(x, torch.ones(1), step, 10**9, cotangent=x)


def test_cancel_and_deadline_act_between_two_steps(engine: Engine) -> None:
    steps: list[int] = []

    def on_query(query: Query) -> None:
        steps.append(query.step)
        if query.step == 3:
            assert engine.cancel("cancelled")

    cancelled = engine.submit("cancelled", lambda: endless(image(64, 64)), "p", on_query=on_query)
    late = engine.submit("late", lambda: endless(image(64, 64)), "p", deadline=time.monotonic() + 0.3)
    with pytest.raises(CancelledError):
        cancelled.result(WAIT_S)
    with pytest.raises(DeadlineExceeded):
        late.result(WAIT_S)
    assert_good(engine.submit("next", good, "p"))
    assert steps == [0, 1, 2, 3]


def test_a_slope_that_is_not_finite_ends_the_one_job(make_engine) -> None:
    """Its denoised image is finite: a square root at zero."""

    def steep(answer: Tensor, rows: Tensor) -> Tensor:
        answer[rows] = (0 * answer[rows]).sqrt()
        return answer

    y = image(64, 64)
    engine, levels = make_engine(Allergic(steep)), [0.5, Allergic.LEVEL]
    beside = [engine.submit(f"beside-{n}", lambda: guided(y, [0.6, 0.3]), "p") for n in range(2)]
    future, others = submit_beside(engine, lambda: guided(y, levels))
    with pytest.raises(SolverDiverged, match="the vector-Jacobian product is not finite at step 3"):
        future.result(WAIT_S)
    expected = drive(guided(y, [0.6, 0.3]), PRIOR.denoise).x
    for each in beside:
        assert difference(each.result(WAIT_S).solution.x, expected) < 1e-5
    for other in others:
        assert_good(other)


# Memory


class Keeping(SmallMemory):
    """Has no memory to differentiate more than `pixels` at a time; plain calls always fit."""

    def denoise(self, x: Tensor, sigma: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return PRIOR.denoise(x, sigma)
        return super().denoise(x, sigma)


def test_out_of_memory_halves_the_batch_of_its_kind_and_every_job_succeeds(make_engine) -> None:
    recorder, gate, prior, y = Recorder(), Gate(), Keeping(3 * 64 * 64), image(64, 64)
    engine = make_engine(prior, observe=recorder, max_batch_pixels=40 * 64 * 64)
    engine.submit("gate", gate.start, "p")
    futures = [engine.submit(f"job-{n}", lambda: guided(y, [0.5, 0.2]), "p") for n in range(10)]
    gate.open()
    expected = drive(guided(y, [0.5, 0.2]), PRIOR.denoise).x
    for future in futures:
        assert difference(future.result(WAIT_S).solution.x, expected) < 1e-5
    assert [shape[0] for shape in prior.shapes[:4]] == [8, 4, 2, 2]
    assert max(shape[0] for shape in prior.shapes[2:]) == 2
    assert recorder.shortages == ["cpu", "cpu"]
    assert tiles_of(recorder, Kind.DENOISE)[0] == 10


def test_out_of_memory_at_one_tile_takes_smaller_tiles_and_at_the_smallest_ends_the_job_alone(make_engine) -> None:
    y = 0.3 * image(128, 128)
    prior = Keeping(64 * 64)
    solution = make_engine(prior, tile_sizes=(64, 128)).submit("job", lambda: guided(y, [0.5]), "p").result(WAIT_S)
    assert difference(solution.solution.x, drive(guided(y, [0.5]), PRIOR.denoise).x) < 1e-5
    assert {shape[-1] for shape in prior.shapes} == {64, 128}
    future, others = submit_beside(make_engine(Keeping(pixels=0)), lambda: guided(y, [0.5]))
    with pytest.raises(OutOfMemory, match="64 pixels"):
        future.result(WAIT_S)
    for other in others:
        assert_good(other)
