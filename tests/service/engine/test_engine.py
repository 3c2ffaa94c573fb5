"""What the engine makes of many jobs: exact answers, the same as alone, whoever shares the batch."""

import itertools
import random
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianMixturePrior, GaussianPrior
from priors.base import Prior
from priors.manifest import PriorInfo
from service.engine.engine import Engine
from solvers.drive import drive
from solvers.noise import NoiseStream
from solvers.operators.mask import Mask
from solvers.query import Problem, Query, Solution, Solver
from solvers.red_diff import RedDiffParameters, red_diff
from tests.service.engine.parts import (
    PRIOR,
    WAIT_S,
    Gate,
    Recorder,
    SmallMemory,
    fixed_point,
    image,
    levels,
    posterior_mean,
    random_unet_prior,
)

SIZES = [(64, 64), (48, 80), (33, 65), (128, 128), (16, 16), (100, 150)]


def inpainting(height: int, width: int, seed: int, mode: str, steps: int) -> Solver:
    """RED-Diff on an image of which about half the pixels are known."""
    observed = torch.rand(height, width, generator=torch.Generator().manual_seed(seed)) < 0.5
    operator = Mask(observed)
    problem = Problem(operator.forward(0.3 * image(height, width, seed)), operator, sigma_y=0.1)
    return red_diff(problem, RedDiffParameters(mode=mode, steps=steps), NoiseStream(seed))


def mixed_jobs(count: int) -> list[Callable[[], Solver]]:
    """Jobs of different solver, size, steps and levels."""
    starts: list[Callable[[], Solver]] = []
    for number, (size, kind) in zip(
        range(count), itertools.cycle(itertools.product(SIZES, ["fast", "paper", "fixed", "levels"])), strict=False
    ):
        steps = 2 + number % 4
        if kind in ("fast", "paper"):
            starts.append(lambda s=size, n=number, k=kind, steps=steps: inpainting(*s, n, k, steps))
        elif kind == "fixed":
            starts.append(lambda s=size, n=number, steps=steps: fixed_point(image(*s, n), 0.2, 0.1 + 0.05 * n, steps))
        else:
            starts.append(
                lambda s=size, n=number, steps=steps: levels(image(*s, n), [2.0 / (n + k + 1) for k in range(steps)])
            )
    return starts


def run_together(engine: Engine, starts: list[Callable[[], Solver]], order: list[int] | None = None) -> list[Tensor]:
    """All submitted before the first batch; solutions in the order of `starts`."""
    gate = Gate()
    engine.submit("gate", gate.start, "p")
    order = order or list(range(len(starts)))
    futures = {number: engine.submit(f"job-{number}", starts[number], "p") for number in order}
    gate.open()
    return [futures[number].result(WAIT_S).solution.x for number in range(len(starts))]


def largest_difference(ours: list[Tensor], theirs: list[Tensor]) -> float:
    return max(float((a - b).abs().max()) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("size", SIZES)
def test_the_posterior_mean_is_exact(engine: Engine, size: tuple[int, int]) -> None:
    y = image(*size)
    outcome = engine.submit("job", lambda: fixed_point(y, 0.5, 0.5, steps=25), "p").result(WAIT_S)
    assert (outcome.solution.x - posterior_mean(y, 0.5, 0.5)).abs().max() < 1e-5
    assert outcome.denoiser_calls == 25


@pytest.mark.parametrize("mode", ["fast", "paper"])
@pytest.mark.parametrize("size", [(64, 64), (128, 128), (256, 256)])
def test_on_one_tile_the_engine_equals_the_plain_driver(make_engine, mode: str, size: tuple[int, int]) -> None:
    prior = random_unet_prior()
    outcome = make_engine(prior).submit("job", lambda: inpainting(*size, 3, mode, 4), "p").result(WAIT_S)
    expected = drive(inpainting(*size, 3, mode, 4), prior.denoise)
    assert (outcome.solution.x - expected.x).abs().max() < 1e-5
    assert outcome.solution.data_residual == pytest.approx(expected.data_residual, abs=1e-5)
    assert outcome.mean_batch == 1


@pytest.mark.parametrize("prior", [PRIOR, GaussianMixturePrior([0.4, 0.6], [-0.5, 0.6], 0.05)], ids=["one", "mixture"])
def test_a_large_image_of_many_tiles_has_no_seams(make_engine, prior: Prior) -> None:
    recorder = Recorder()
    engine = make_engine(prior, tile_sizes=(64,), observe=recorder)
    outcome = engine.submit("job", lambda: inpainting(600, 500, 1, "fast", 3), "p").result(WAIT_S)
    expected = drive(inpainting(600, 500, 1, "fast", 3), prior.denoise)
    assert (outcome.solution.x - expected.x).abs().max() < 1e-5
    assert outcome.denoiser_calls == 3
    assert sum(tiles for _, tiles in recorder.batches) > 3 * 80
    assert outcome.mean_batch > 30


def test_sixty_four_mixed_jobs_each_equal_their_solo_run(make_engine) -> None:
    starts, prior = mixed_jobs(64), random_unet_prior()
    recorder = Recorder()
    together = run_together(make_engine(prior, observe=recorder), starts)
    one_by_one = make_engine(prior)
    alone = [one_by_one.submit(f"{n}", start, "p").result(WAIT_S).solution.x for n, start in enumerate(starts)]
    assert largest_difference(together, alone) < 1 / 255
    sizes = [tiles for _, tiles in recorder.batches]
    assert sum(sizes) / len(sizes) > 4


def test_sixty_four_mixed_jobs_under_a_gaussian_equal_the_plain_driver(make_engine) -> None:
    starts = mixed_jobs(64)
    together = run_together(make_engine(), starts)
    assert largest_difference(together, [drive(start(), PRIOR.denoise).x for start in starts]) < 1e-4


def test_the_order_of_arrival_changes_nothing(make_engine) -> None:
    starts, prior = mixed_jobs(24), random_unet_prior()
    first = run_together(make_engine(prior), starts)
    shuffled = random.Random(0).sample(range(24), 24)
    second = run_together(make_engine(prior, max_batch_pixels=3 * 64 * 64), starts, shuffled)
    assert largest_difference(first, second) < 1e-4


def test_each_row_of_a_query_has_its_own_level(engine: Engine) -> None:
    x = torch.cat([image(100, 70, seed) for seed in range(3)])
    sigma = torch.tensor([0.1, 0.5, 2.0])

    def solver() -> Solver:
        return Solution((yield Query(x, sigma, 0, 1)), 0.0)

    solution = engine.submit("job", solver, "p").result(WAIT_S).solution
    assert (solution.x - PRIOR.denoise(x, sigma)).abs().max() < 1e-5


def test_a_solver_may_change_its_answer_and_differentiate_through_it(engine: Engine) -> None:
    def solver() -> Solver:
        denoised = yield Query(torch.ones(1, 3, 64, 64), torch.ones(1), 0, 1)
        assert not torch.is_grad_enabled()
        with torch.enable_grad():
            weight = torch.ones(1, requires_grad=True)
            (weight * denoised).sum().backward()
        return Solution(denoised.fill_(float(weight.grad)), 0.0)

    solution = engine.submit("job", solver, "p").result(WAIT_S).solution
    expected = float(PRIOR.denoise(torch.ones(1, 3, 64, 64), torch.ones(1)).sum())
    assert float(solution.x.mean()) == pytest.approx(expected, rel=1e-5)


def test_a_prior_with_attention_is_asked_at_its_native_size_only(make_engine) -> None:
    prior = SmallMemory()
    prior.info = PriorInfo("attention", native_size=48, fully_convolutional=False)
    outcome = make_engine(prior).submit("job", lambda: levels(image(100, 60), [0.5]), "p").result(WAIT_S)
    assert {shape[-2:] for shape in prior.shapes} == {(48, 48)}
    assert (outcome.solution.x - PRIOR.denoise(image(100, 60), torch.tensor([0.5]))).abs().max() < 1e-5


def test_no_call_exceeds_the_limit(make_engine) -> None:
    prior = SmallMemory()
    engine = make_engine(prior, max_batch_pixels=5 * 64 * 64, tile_sizes=(64,))
    engine.submit("job", lambda: levels(image(400, 300), [0.5]), "p").result(WAIT_S)
    assert max(shape[0] for shape in prior.shapes) == 5


def test_two_priors_in_one_engine_never_share_a_call() -> None:
    priors = {"a": GaussianPrior(0.1), "b": GaussianPrior(0.9)}
    recorder, gate = Recorder(), Gate()
    engine = Engine(priors.__getitem__, "cpu", observe=recorder)
    try:
        engine.submit("gate", gate.start, "a")
        futures = {
            (name, seed): engine.submit("job", lambda s=seed: fixed_point(image(64, 64, s), 0.5, 0.5, 25), name)
            for name in priors
            for seed in range(4)
        }
        gate.open()
        for (name, seed), future in futures.items():
            exact = posterior_mean(image(64, 64, seed), 0.5, 0.5, priors[name])
            assert (future.result(WAIT_S).solution.x - exact).abs().max() < 1e-5
        assert recorder.loaded == ["a", "b"]
        assert set(recorder.batches) == {("a", 4), ("b", 4)}
    finally:
        engine.stop(drain=False)


def test_small_jobs_do_not_wait_for_a_large_image(make_engine) -> None:
    engine = make_engine(tile_sizes=(64,), max_batch_pixels=4 * 64 * 64)
    gate, log = Gate(), []
    engine.submit("gate", gate.start, "p")

    def tell(name: str) -> Callable[[Query], None]:
        return lambda query: log.append((name, query.step))

    large = engine.submit("large", lambda: levels(image(900, 900), [0.5, 0.2]), "p", on_query=tell("large"))
    small = [
        engine.submit(f"s{n}", lambda: levels(image(64, 64), [0.5] * 9), "p", on_query=tell("small")) for n in range(3)
    ]
    gate.open()
    for future in small:
        assert future.result(WAIT_S).denoiser_calls == 9
    large.result(WAIT_S)
    assert log.index(("large", 1)) > max(index for index, entry in enumerate(log) if entry == ("small", 8))


def test_the_observer_hears_of_batches_steps_and_loads(make_engine) -> None:
    recorder = Recorder()
    engine = make_engine(observe=recorder)
    outcome = engine.submit("job", lambda: levels(image(64, 64), [0.5, 0.2]), "p").result(WAIT_S)
    assert recorder.batches == [("p", 1), ("p", 1)]
    assert recorder.steps == ["job", "job"]
    assert recorder.loaded == ["p"]
    assert outcome.load_s > 0
    assert engine.submit("next", lambda: levels(image(64, 64), [0.5]), "p").result(WAIT_S).load_s == 0


def test_a_solution_without_a_single_query_is_fine(engine: Engine) -> None:
    def solver() -> Solver:
        return Solution(image(64, 64), 0.0)
        yield

    outcome = engine.submit("job", solver, "p").result(WAIT_S)
    assert (outcome.denoiser_calls, outcome.mean_batch) == (0, 0)
