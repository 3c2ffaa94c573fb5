"""Jobs whose solver asks several priors: the answer of each, all of them warm, and the way out of every failure."""

import threading
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from priors.analytic import GaussianPrior
from priors.manifest import PriorError, PriorInfo
from service.engine.engine import Engine, PriorLoadFailed
from service.engine.residency import PriorId
from solvers.drive import answer, converse
from solvers.noise import NoiseStream
from solvers.operators.identity import Identity
from solvers.query import Problem, Query, Solution, Solver
from solvers.score_dvi import ScoreDviParameters, score_dvi
from tests.service.engine.parts import WAIT_S, Recorder, assert_good, good, image, random_unet_prior

MIB = 2**20
PRIORS = {"gaussian": GaussianPrior(0.3, 0.1), "unet": random_unet_prior(), "other": random_unet_prior(1)}
PARAMS = ScoreDviParameters(components=3, beta0=0.02, sweeps=3, tolerance=0.0)
FURTHER = (PriorId("unet"), PriorId("other"))


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make(recorder: Recorder) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(load=PRIORS.__getitem__, **options) -> Engine:
        options = {"observe": recorder, "prior_size": lambda name: 4 * MIB, "prior_memory": 12 * MIB} | options
        engines.append(Engine(load, "cpu", **options))
        return engines[-1]

    yield make
    for engine in engines:
        engine.stop(drain=False)


def photograph(seed: int, height: int = 64, width: int = 64) -> Solver:
    y = (0.3 * image(height, width, seed)).clamp(-1, 1)
    return score_dvi(Problem(y, Identity(tuple(y.shape[1:])), 0.1), PARAMS, NoiseStream(seed))


def alone(seed: int) -> Solution:
    mixture = list(PRIORS.values())
    return converse(photograph(seed), lambda query: answer(query, mixture[query.component].denoise))


def load(name: str) -> GaussianPrior:
    """Every name but `broken`."""
    if name == "broken":
        raise PriorError("its digest is wrong")
    prior = GaussianPrior(variance=0.3, mean=0.1)
    prior.info = PriorInfo(name)
    return prior


def test_each_component_is_answered_by_its_prior(make: Callable[..., Engine], recorder: Recorder) -> None:
    outcome = make().submit("job", lambda: photograph(3), "gaussian", further=FURTHER).result(WAIT_S)
    expected = alone(3)
    for quantity in ("x", "deviation", "noise_map"):
        assert (getattr(outcome.solution, quantity) - getattr(expected, quantity)).abs().max() < 1e-5
    assert [name for name, _ in recorder.batches] == ["gaussian", "unet", "other"] * 3
    assert sorted(recorder.loaded) == ["gaussian", "other", "unet"]
    assert outcome.denoiser_calls == 9
    assert outcome.load_s > 0


def test_photographs_share_their_calls_and_are_what_they_are_alone(make: Callable[..., Engine]) -> None:
    engine = make()
    engine.submit("warm", good, "gaussian", further=FURTHER).result(WAIT_S)
    held, opened = threading.Event(), threading.Event()

    def hold() -> Solver:
        held.set()
        assert opened.wait(WAIT_S)
        return good()

    engine.submit("gate", hold, "gaussian")
    assert held.wait(WAIT_S)
    futures = [
        engine.submit(f"job {seed}", lambda seed=seed: photograph(seed), "gaussian", further=FURTHER)
        for seed in range(3)
    ]
    opened.set()
    for seed, future in enumerate(futures):
        outcome = future.result(WAIT_S)
        assert outcome.mean_batch > 4  # of the two rows of a query alone
        assert outcome.load_s == 0
        assert (outcome.solution.x - alone(seed).x).abs().max() < 1e-5


def test_a_mixture_of_which_one_cannot_be_loaded_fails_and_holds_nothing(make: Callable[..., Engine]) -> None:
    engine = make(load, prior_memory=8 * MIB)
    future = engine.submit("job", good, "a", further=[PriorId("broken")])
    with pytest.raises(PriorLoadFailed, match="the prior broken could not be loaded: its digest is wrong"):
        future.result(WAIT_S)
    assert engine.priors == {PriorId("a"): "ready"}
    assert_good(engine.submit("others", good, "b", further=[PriorId("c")]))  # `a` had to go
    with pytest.raises(PriorLoadFailed, match="a could not be loaded: with b, c it takes 12 MiB and this worker has 8"):
        engine.submit("too many", good, "a", further=[PriorId("b"), PriorId("c")]).result(WAIT_S)


def test_a_running_mixture_keeps_all_its_priors(make: Callable[..., Engine], recorder: Recorder) -> None:
    engine = make(load, prior_memory=8 * MIB)
    begun, leave = threading.Event(), threading.Event()

    def both() -> Solver:
        step, x = 0, torch.zeros(1, 3, 64, 64)
        while not leave.is_set():
            begun.set()
            yield Query(x, torch.ones(1), step, 10**9, component=step % 2)
            step += 1
        return (yield from good())

    future = engine.submit("job", both, "a", further=[PriorId("b")])
    assert begun.wait(WAIT_S)
    engine.unload("b")
    waiting = engine.submit("waiting", good, "c")
    assert_good(engine.submit("beside", good, "b"))
    assert not waiting.done() and recorder.evicted == []
    leave.set()
    assert_good(future)
    assert_good(waiting)
    assert "b" in recorder.evicted


def test_a_prior_may_be_named_twice(make: Callable[..., Engine]) -> None:
    def solver() -> Solver:
        x: Tensor = image(64, 64)
        for step in range(2):
            x = yield Query(x, torch.ones(1), step, 2, component=step)
        return Solution(x, 0.0)

    engine = make(load, prior_memory=4 * MIB)
    prior, one = load("a"), torch.ones(1)
    found = engine.submit("job", solver, "a", further=[PriorId("a")]).result(WAIT_S).solution.x
    assert (found - prior.denoise(prior.denoise(image(64, 64), one), one)).abs().max() < 1e-6


def test_a_component_too_many_ends_the_job(make: Callable[..., Engine]) -> None:
    def solver() -> Solver:
        yield Query(torch.zeros(1, 3, 64, 64), torch.ones(1), 0, 1, component=2)

    with pytest.raises(ValueError, match="asks for denoiser 2, and the job has 2"):
        make(load).submit("job", solver, "a", further=[PriorId("b")]).result(WAIT_S)
