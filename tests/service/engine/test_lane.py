"""One running solver, driven by hand."""

from concurrent.futures import CancelledError

import pytest
import torch
from torch import Tensor

from priors.manifest import PriorInfo
from priors.tiling import Blend, cut, pad
from service.engine.errors import NotDifferentiable, OutOfMemory
from service.engine.lane import Job, Lane, usable_tiles
from service.engine.residency import PriorId
from service.engine.scheduler import Kind
from solvers.drive import answer as answer_of
from solvers.drive import drive
from solvers.query import Query, Solution, Solver, SolverDiverged
from tests.service.engine.parts import PRIOR, fixed_point, image, levels

INFO = PRIOR.info


def lane_of(solver, **options) -> Lane:
    lane = Lane(0, Job("job", lambda: solver, (PriorId("p"),), **options))
    lane.begin(load_s=0.0)
    return lane


def answer(lane: Lane, sizes=(32,), chunk: int = 1) -> None:
    """Denoise all tiles of the query, `chunk` at a time."""
    lane.plan(INFO, sizes)
    for first in range(0, lane.tiles, chunk):
        numbers = range(first, min(first + chunk, lane.tiles))
        x = torch.cat([lane.tile(number) for number in numbers])
        sigma = torch.cat([lane.sigma(number) for number in numbers])
        lane.take(first, PRIOR.denoise(x, sigma), batch_size=10)
    lane.advance()


@pytest.mark.parametrize("size", [(32, 32), (20, 45), (100, 70)])
def test_a_lane_equals_the_plain_driver(size: tuple[int, int]) -> None:
    y = image(*size)
    lane = lane_of(fixed_point(y, 0.5, 0.3, steps=4))
    while lane.solution is None:
        answer(lane, chunk=3)
    expected = drive(fixed_point(y, 0.5, 0.3, steps=4), PRIOR.denoise)
    assert (lane.solution.x - expected.x).abs().max() < 1e-6


def test_rows_are_tiles_of_their_own() -> None:
    x = torch.cat([image(40, 50, seed) for seed in range(3)])
    sigma = torch.tensor([0.1, 0.5, 2.0])

    def solver():
        return Solution((yield Query(x, sigma, 0, 1)), 0.0)

    lane = lane_of(solver())
    lane.plan(INFO, (32,))
    per_row = lane.tiles // 3
    assert [float(lane.sigma(row * per_row)) for row in range(3)] == pytest.approx(sigma.tolist())
    answer(lane)
    assert (lane.solution.x - PRIOR.denoise(x, sigma)).abs().max() < 1e-6


LATENT = PriorInfo(
    "latent",
    kind="latent",
    multiple_of=16,
    latent_factor=8,
    native_size=32,
    fully_convolutional=False,
    differentiable=False,
)


def noisy(x: Tensor, noise: Tensor, sigma: float, known: bool = True) -> Solver:
    """One query that knows its mean."""
    return Solution(
        (yield Query(x + sigma * noise, torch.tensor([sigma]), 0, 1, mean=(lambda: x) if known else None)), 0.0
    )


def test_a_map_of_levels_is_cut_as_the_picture_is() -> None:
    """For a prior of single pixels the tiles of both, blended, are what it says of the whole."""
    x, levels = image(40, 50), torch.linspace(0.01, 2, 2000).reshape(1, 1, 40, 50)

    def solver():
        return Solution((yield Query(x, levels, 0, 1)), 0.0)

    lane = lane_of(solver())
    lane.plan(INFO, (32,))
    assert lane.tiles > 1 and lane.sigma(0).shape == (1, 1, 32, 32)
    answer(lane)
    assert (lane.solution.x - PRIOR.denoise(x, levels)).abs().max() < 1e-6


def test_a_prior_on_latents_gets_the_mean_of_every_tile_and_shares_its_noise() -> None:
    """Tiles begin at whole latents; where they overlap, they see the same picture and the same noise."""
    x, noise = image(41, 77), image(41, 77, seed=1)
    lane = lane_of(noisy(x, noise, 0.5))
    grid = lane.plan(LATENT, (64, 128))
    assert grid.tile == 32 and lane.tiles == len(grid.origins) == 6
    assert all(top % 8 == left % 8 == 0 for top, left in grid.origins)
    for number, (top, left) in enumerate(grid.origins):
        within = (slice(None), slice(None), slice(0, min(32, 41 - top)), slice(0, min(32, 77 - left)))
        assert torch.equal(lane.mean(number)[within], x[..., top : top + 32, left : left + 32])
        drawn = (lane.tile(number) - lane.mean(number)) / 0.5
        assert torch.allclose(drawn[within], noise[..., top : top + 32, left : left + 32], atol=1e-5)


def test_a_prior_on_latents_needs_the_mean() -> None:
    x = image(32, 32)
    with pytest.raises(ValueError, match="the prior latent is on latents, and the solver knows no picture without"):
        lane_of(noisy(x, x, 0.5, known=False)).plan(LATENT, (32,))


def test_other_priors_do_not_ask_for_the_mean() -> None:
    def solver() -> Solver:
        def mean() -> Tensor:
            raise AssertionError("nobody needs this copy")

        return Solution((yield Query(image(32, 32), torch.ones(1), 0, 1, mean=mean)), 0.0)

    lane = lane_of(solver())
    lane.plan(INFO, (32,))
    assert lane.mean(0) is None


def pulled_back(x: Tensor, sigma: Tensor, v: Tensor | None) -> Solver:
    """One query; its solution is the answer."""
    return Solution((yield Query(x, sigma, 0, 1, cotangent=v)), 0.0)


@pytest.mark.parametrize("size", [(32, 32), (20, 45), (100, 70), (3, 3)])
def test_cotangents_come_back_through_the_tiles(size: tuple[int, int]) -> None:
    """Row by row, as automatic differentiation through cutting and blending has it."""
    x, v = (torch.cat([image(*size, seed) for seed in range(first, first + 2)]).double() for first in (0, 2))
    sigma = torch.tensor([0.3, 2.0]).double()
    lane = lane_of(pulled_back(x, sigma, v))
    assert lane.kind is Kind.VJP
    grid = lane.plan(INFO, (32,))
    numbers = range(lane.tiles)
    tiles, levels = torch.cat(list(map(lane.tile, numbers))), torch.cat(list(map(lane.sigma, numbers)))
    cotangents = torch.cat(list(map(lane.cotangent, numbers)))
    for first in reversed(range(0, lane.tiles, 3)):
        part = slice(first, first + 3)
        lane.take(first, differentiated(tiles[part], levels[part], cotangents[part]), batch_size=3)
    lane.advance()

    padded, blend = pad(x.requires_grad_(), grid), Blend(grid)
    for index in range(len(grid.origins)):
        blend.add(index, curved(cut(padded, grid, index), sigma))
    expected = torch.autograd.grad(blend.result(), x, v)[0]
    torch.testing.assert_close(lane.solution.x, expected, rtol=1e-12, atol=1e-12)


def curved(x: Tensor, sigma: Tensor) -> Tensor:
    """A denoiser whose Jacobian depends on the pixels around."""
    return x.roll(1, -1) * x / (1 + sigma.reshape(-1, 1, 1, 1))


def differentiated(x: Tensor, sigma: Tensor, v: Tensor) -> Tensor:
    return answer_of(Query(x, sigma, 0, 1, cotangent=v), curved)


def test_what_cannot_be_differentiated_is_refused_before_it_is_asked() -> None:
    x = image(32, 32)
    with pytest.raises(NotDifferentiable, match="the solver differentiates through the prior, and latent cannot"):
        lane_of(pulled_back(x, torch.ones(1), x)).plan(LATENT, (32,))


def test_a_query_without_a_cotangent_is_not_differentiated() -> None:
    lane = lane_of(pulled_back(image(32, 32), torch.ones(1), None))
    lane.plan(INFO, (32,))
    assert lane.kind is Kind.DENOISE and lane.cotangent(0) is None


def test_a_product_that_is_not_finite_is_named() -> None:
    x = image(32, 32)
    lane = lane_of(pulled_back(x, torch.ones(1), x))
    lane.plan(INFO, (32,))
    with pytest.raises(SolverDiverged, match="the vector-Jacobian product is not finite at step 0"):
        lane.take(0, torch.full((1, 3, 32, 32), float("nan")), batch_size=1)


def test_float64_solvers_get_float64() -> None:
    lane = lane_of(levels(image(32, 32).double(), [0.5]))
    answer(lane)
    assert lane.solution.x.dtype == torch.float64


def test_a_query_may_be_cut_anew() -> None:
    y = image(64, 64)
    lane = lane_of(levels(y, [0.5]))
    lane.plan(INFO, (64,))
    lane.tile_below = 64
    answer(lane, sizes=(64, 32))
    assert (lane.solution.x - PRIOR.denoise(y, torch.tensor([0.5]))).abs().max() < 1e-6


def test_no_tile_small_enough_is_out_of_memory() -> None:
    lane = lane_of(levels(image(64, 64), [0.5]))
    lane.tile_below = 32
    with pytest.raises(OutOfMemory, match="32 pixels"):
        lane.plan(INFO, (64, 32))


def test_an_answer_that_is_not_finite_is_no_picture() -> None:
    lane = lane_of(levels(image(32, 32), [0.5, 0.2]))
    answer(lane)
    lane.plan(INFO, (32,))
    bad = torch.zeros(1, 3, 32, 32)
    bad[0, 1, 5, 5] = float("inf")
    with pytest.raises(SolverDiverged) as caught:
        lane.take(0, bad, batch_size=1)
    assert caught.value.step == 1


NAN = torch.full((1, 3, 32, 32), float("nan"))


@pytest.mark.parametrize(
    ("solution", "quantity"),
    [
        (Solution(NAN, 0.0), "the solution"),
        (Solution(image(32, 32), 0.0, deviation=NAN), "its deviation"),
        (Solution(image(32, 32), 0.0, samples=torch.cat([image(32, 32), NAN])), "its samples"),
    ],
    ids=["picture", "deviation", "samples"],
)
def test_a_solution_that_is_not_finite_is_no_picture(solution: Solution, quantity: str) -> None:
    def solver():
        yield Query(image(32, 32), torch.ones(1), 0, 1)
        return solution

    lane = lane_of(solver())
    with pytest.raises(SolverDiverged, match=f"{quantity} is not finite at step 1"):
        answer(lane)


@pytest.mark.parametrize(
    "query",
    [
        Query(torch.zeros(3, 32, 32), torch.ones(3), 0, 1),
        Query(torch.zeros(2, 3, 32, 32), torch.ones(1), 0, 1),
        Query(torch.zeros(0, 3, 32, 32), torch.ones(0), 0, 1),
        Query(torch.zeros(1, 3, 32, 32), torch.ones(1, 3, 32, 32), 0, 1),
        Query(torch.zeros(1, 3, 32, 32), torch.ones(1), 0, 1, component=1),
        Query(torch.zeros(2, 3, 32, 32), torch.ones(2), 0, 1, cotangent=torch.zeros(1, 3, 32, 32)),
    ],
    ids=[
        "no batch axis",
        "one level for two rows",
        "no rows",
        "a level for each channel",
        "another denoiser",
        "one cotangent for two rows",
    ],
)
def test_a_senseless_query_is_refused(query: Query) -> None:
    def solver():
        yield query

    with pytest.raises(ValueError):
        lane_of(solver())


def test_it_counts_calls_and_the_batches_it_was_in() -> None:
    lane = lane_of(levels(image(32, 32), [0.5, 0.2, 0.1]))
    seen = []
    while lane.solution is None:
        lane.plan(INFO, (32,))
        seen.append(lane.query.step)
        lane.take(0, torch.zeros(1, 3, 32, 32), batch_size=1 + 2 * lane.query.step)
        lane.advance()
    outcome = lane.outcome()
    assert seen == [0, 1, 2]
    assert (outcome.denoiser_calls, outcome.mean_batch, outcome.load_s) == (3, 3.0, 0.0)
    assert outcome.run_s >= 0


def test_each_query_is_told_once() -> None:
    steps = []
    lane = lane_of(levels(image(32, 32), [0.5, 0.2]), on_query=lambda query: steps.append(query.step))
    while lane.solution is None:
        answer(lane)
    assert steps == [0, 1]


def test_a_resolved_lane_lets_go_of_its_solver() -> None:
    closed = []

    def solver():
        try:
            yield Query(image(32, 32), torch.ones(1), 0, 1)
        finally:
            closed.append(True)
            raise RuntimeError("a solver that fails in its clean-up changes nothing")

    lane = lane_of(solver())
    lane.resolve(OutOfMemory("full"))
    assert closed == [True]
    with pytest.raises(OutOfMemory):
        lane.future.result(0)


def test_a_cancelled_future_stays_cancelled() -> None:
    lane = lane_of(levels(image(32, 32), []))
    lane.future.cancel()
    lane.resolve(lane.outcome())
    with pytest.raises(CancelledError):
        lane.future.result(0)


@pytest.mark.parametrize(
    ("info", "below", "expected"),
    [
        (PriorInfo("p"), None, (64, 128, 256)),
        (PriorInfo("p", multiple_of=128), None, (128, 256)),
        (PriorInfo("p"), 128, (64,)),
        (PriorInfo("p"), 64, ()),
        (PriorInfo("p", multiple_of=96, native_size=96), None, (96,)),
        (PriorInfo("p", native_size=96, fully_convolutional=False), None, (96,)),
        (PriorInfo("p", native_size=96, fully_convolutional=False), 96, ()),
    ],
)
def test_which_tiles_a_prior_takes(info: PriorInfo, below: int | None, expected: tuple[int, ...]) -> None:
    assert usable_tiles(info, (64, 128, 256), below) == expected
