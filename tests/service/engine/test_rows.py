"""Queries of several rows, as particles and samples make them: each row is so many tiles more, and no more than so."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from service.engine.scheduler import Kind
from solvers.drive import drive
from solvers.query import Query, Solution, Solver
from tests.service.engine.parts import WAIT_S, Gate, Recorder, image, levels, random_unet_prior

ROWS = 16


def particles(height: int, width: int) -> Tensor:
    return torch.cat([image(height, width, seed) for seed in range(ROWS)])


def drifting(x: Tensor, steps: int) -> Solver:
    """Particles that each have a level of their own and are pushed through the denoiser, too."""
    sigma = torch.linspace(0.1, 3.0, len(x))
    for step in range(0, 2 * steps, 2):
        x0 = yield Query(x, sigma, step, 2 * steps)
        x = x0 - 0.1 * (yield Query(x, sigma, step + 1, 2 * steps, cotangent=x0))
    return Solution(x[:1], 0.0, samples=x)


@pytest.mark.parametrize("pixels", [8 * 64 * 64, 3 * 64 * 64, 1])
def test_rows_of_one_query_share_batches(make_engine, pixels: int) -> None:
    prior, recorder, x = random_unet_prior(), Recorder(), particles(64, 64)
    engine = make_engine(prior, max_batch_pixels=pixels, observe=recorder)
    solution = engine.submit("job", lambda: drifting(x, 1), "p").result(WAIT_S).solution
    assert (solution.samples - drive(drifting(x, 1), prior.denoise).samples).abs().max() < 1e-4
    capacity = max(1, pixels // 64**2)
    plain = [n for (_, n), kind in zip(recorder.batches, recorder.kinds, strict=True) if kind is Kind.DENOISE]
    assert plain == [capacity] * (ROWS // capacity) + [ROWS % capacity] * (ROWS % capacity > 0)
    assert sum(tiles for _, tiles in recorder.batches) == 2 * ROWS


def test_rows_of_two_jobs_share_batches(make_engine) -> None:
    recorder, gate, x = Recorder(), Gate(), particles(64, 64)
    engine = make_engine(random_unet_prior(), max_batch_pixels=32 * 64 * 64, observe=recorder)
    engine.submit("gate", gate.start, "p")
    futures = [engine.submit(f"job-{n}", lambda: drifting(x, 1), "p") for n in range(2)]
    gate.open()
    first, second = (future.result(WAIT_S).solution.samples for future in futures)
    assert (first - second).abs().max() < 1e-4
    assert recorder.batches[0] == ("p", 2 * ROWS)


def test_a_job_of_many_rows_gets_what_small_ones_leave(make_engine) -> None:
    """Fairness is by tiles: 16 rows weigh as much as one picture of as many tiles."""
    engine, gate, log = make_engine(tile_sizes=(64,), max_batch_pixels=4 * 64 * 64), Gate(), []
    engine.submit("gate", gate.start, "p")

    def tell(name: str) -> Callable[[Query], None]:
        return lambda query: log.append((name, query.step))

    x = particles(100, 100)  # four tiles each
    large = engine.submit("large", lambda: levels(x, [0.5, 0.2]), "p", on_query=tell("large"))
    small = [
        engine.submit(f"s{n}", lambda: levels(image(64, 64), [0.5] * 9), "p", on_query=tell("small")) for n in range(3)
    ]
    gate.open()
    for future in [large, *small]:
        future.result(WAIT_S)
    assert log.index(("large", 1)) > max(index for index, entry in enumerate(log) if entry == ("small", 8))
