"""Solvers, priors and devices that fail: the job at fault ends, and nobody beside it is hurt."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from priors.manifest import PriorError
from service.engine.engine import Engine, EngineStopped, OutOfMemory, PriorLoadFailed
from service.engine.scheduler import Kind
from solvers.query import Query, Solver, SolverDiverged
from tests.service.engine.parts import (
    LEVELS,
    PRIOR,
    WAIT_S,
    Allergic,
    Recorder,
    SmallMemory,
    Y,
    assert_good,
    good,
    image,
    levels,
    submit_beside,
)

# Errors of a solver


def raises_at_start() -> Solver:
    raise ValueError("at start")


def raises_at_first_query() -> Solver:
    raise ValueError("at first query")
    yield


def raises_later() -> Solver:
    yield from levels(Y, LEVELS[:2])
    raise ValueError("later")


def stops_iteration() -> Solver:
    yield Query(Y, torch.ones(1), 0, 1)
    raise StopIteration


def yields_nonsense() -> Solver:
    yield "a word"


def returns_nothing() -> Solver:
    yield Query(Y, torch.ones(1), 0, 1)


def exhausts_the_memory() -> Solver:
    yield Query(Y, torch.ones(1), 0, 1)
    torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (raises_at_start, ValueError),
        (raises_at_first_query, ValueError),
        (raises_later, ValueError),
        (stops_iteration, RuntimeError),
        (yields_nonsense, AttributeError),
        (returns_nothing, AttributeError),
        (exhausts_the_memory, OutOfMemory),
    ],
)
def test_a_solver_that_raises_ends_its_own_job_only(engine: Engine, bad: Callable[[], Solver], error: type) -> None:
    future, others = submit_beside(engine, bad)
    with pytest.raises(error):
        future.result(WAIT_S)
    for other in others:
        assert_good(other)
    assert engine.healthy
    assert not engine.cancel("bad")


def test_a_callback_that_raises_ends_its_own_job_only(engine: Engine) -> None:
    def on_query(query: Query) -> None:
        if query.step == 2:
            raise LookupError("no such reporter")

    future, others = submit_beside(engine, good, on_query=on_query)
    with pytest.raises(LookupError):
        future.result(WAIT_S)
    for other in others:
        assert_good(other)


# Errors of a prior


def poison(answer: Tensor, rows: Tensor) -> Tensor:
    answer[rows] = float("nan")
    return answer


def throw(answer: Tensor, rows: Tensor) -> Tensor:
    raise RuntimeError("a shape that the network cannot take")


def allergic_job() -> Solver:
    return levels(Y, [0.5, 0.3, Allergic.LEVEL, 0.1])


def test_a_nan_ends_the_one_job_at_its_step(make_engine) -> None:
    future, others = submit_beside(make_engine(Allergic(poison)), allergic_job)
    with pytest.raises(SolverDiverged) as caught:
        future.result(WAIT_S)
    assert caught.value.step == 2
    for other in others:
        assert_good(other)


def test_a_prior_that_raises_ends_only_the_job_at_fault(make_engine) -> None:
    engine = make_engine(Allergic(throw))
    future, others = submit_beside(engine, allergic_job)
    with pytest.raises(RuntimeError, match="a shape that the network cannot take"):
        future.result(WAIT_S)
    for other in others:
        assert_good(other)
    assert engine.healthy


def test_a_prior_that_cannot_be_loaded_ends_only_its_own_jobs() -> None:
    def load(name: str):
        if name != "p":
            raise PriorError(f"{name} is damaged")
        return PRIOR

    engine = Engine(load, "cpu")
    try:
        bad = engine.submit("bad", good, "q")
        assert_good(engine.submit("good", good, "p"))
        with pytest.raises(PriorLoadFailed, match="q is damaged"):
            bad.result(WAIT_S)
    finally:
        engine.stop(drain=False)


# Memory

ERRORS = [
    torch.OutOfMemoryError,
    lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9"),
]


@pytest.mark.parametrize("error", ERRORS, ids=["device", "cpu"])
def test_out_of_memory_halves_the_batch_and_every_job_succeeds(make_engine, error) -> None:
    recorder, prior = Recorder(), SmallMemory(3 * 64 * 64, error)
    future, others = submit_beside(make_engine(prior, observe=recorder), good)
    for each in [future, *others]:
        assert_good(each)
    assert [shape[0] for shape in prior.shapes[:3]] == [1, 7, 3]  # the first call warms the prior up
    assert max(shape[0] for shape in prior.shapes[2:]) == 3
    assert recorder.shortages == ["cpu"]


def test_out_of_memory_at_one_tile_takes_smaller_tiles(make_engine) -> None:
    prior, y = SmallMemory(2 * 64 * 64), image(256, 256)
    engine = make_engine(prior, tile_sizes=(64, 256))
    outcome = engine.submit("job", lambda: levels(y, [0.5, 0.2]), "p").result(WAIT_S)
    once = PRIOR.denoise(y, torch.tensor([0.5]))
    assert (outcome.solution.x - PRIOR.denoise(once, torch.tensor([0.2]))).abs().max() < 1e-5
    assert [(shape[0], shape[-1]) for shape in prior.shapes[1:5]] == [(1, 256), (8, 64), (4, 64), (2, 64)]
    assert outcome.denoiser_calls == 2


def test_out_of_memory_at_the_smallest_tile_ends_that_job_alone(make_engine) -> None:
    class Greedy(Allergic):
        """Has no memory for one level, whatever the size."""

        def __init__(self) -> None:
            super().__init__(self.refuse)

        def refuse(self, answer: Tensor, rows: Tensor) -> Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    engine = make_engine(Greedy())
    future, others = submit_beside(engine, allergic_job)
    with pytest.raises(OutOfMemory, match="64 pixels"):
        future.result(WAIT_S)
    for other in others:
        assert_good(other)
    assert engine.healthy


# The thread


def test_a_lost_device_ends_the_engine_and_every_future(make_engine) -> None:
    def lose(answer: Tensor, rows: Tensor) -> Tensor:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    engine = make_engine(Allergic(lose))
    future, others = submit_beside(engine, allergic_job)
    for each in [future, *others]:
        with pytest.raises(EngineStopped, match="the engine died") as caught:
            each.result(WAIT_S)
        assert isinstance(caught.value.__cause__, torch.AcceleratorError)
    assert not engine.healthy
    with pytest.raises(EngineStopped):
        engine.submit("late", good, "p")


def test_an_unforeseen_error_ends_the_engine_and_every_future(make_engine) -> None:
    class Broken(Recorder):
        def batch(self, prior: str, tiles: int, seconds: float, kind: Kind) -> None:
            raise ZeroDivisionError

    engine = make_engine(observe=Broken())
    future, others = submit_beside(engine, good)
    for each in [future, *others]:
        with pytest.raises(EngineStopped):
            each.result(WAIT_S)
    assert not engine.healthy
