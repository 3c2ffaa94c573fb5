"""Several priors in one engine: loaded beside the running jobs, within a budget, each as it was meant."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError

import pytest
import torch

from priors.analytic import GaussianPrior
from priors.manifest import PriorError, PriorInfo
from service.engine.engine import DeadlineExceeded, Engine, EngineStopped, PriorLoadFailed
from service.engine.residency import PriorId
from solvers.query import Query, Solver
from tests.service.engine.parts import WAIT_S, Recorder, Y, assert_good, endless, good

MIB = 2**20


class Library:
    """Priors on an imaginary disk: equal to `PRIOR`, of 4 MiB, and loaded as soon as a test lets them."""

    def __init__(self) -> None:
        self.sizes: dict[str, int] = {}
        self.digests: dict[str, str] = {}
        self.failures: dict[str, Exception] = {}
        self.loads: list[str] = []
        self.entered: dict[str, threading.Event] = {}
        self.opened: dict[str, threading.Event] = {}

    def hold(self, name: str) -> None:
        """Loads of this prior wait until `open`."""
        self.entered[name], self.opened[name] = threading.Event(), threading.Event()

    def open(self, name: str) -> None:
        self.opened[name].set()

    def size(self, name: str) -> int:
        if name == "unknown":
            raise PriorError("there is no prior of this name")
        return self.sizes.get(name, 4 * MIB)

    def load(self, name: str) -> GaussianPrior:
        self.loads.append(name)
        if name in self.opened:
            self.entered[name].set()
            assert self.opened[name].wait(WAIT_S)
        if name in self.failures:
            raise self.failures.pop(name)
        prior = GaussianPrior(variance=0.3, mean=0.1)
        prior.info = PriorInfo(name, digest=self.digests.get(name, ""))
        return prior


@pytest.fixture
def library() -> Library:
    return Library()


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make(library: Library, recorder: Recorder) -> Iterator[Callable[..., Engine]]:
    engines: list[Engine] = []

    def make(**options) -> Engine:
        engines.append(Engine(library.load, "cpu", observe=recorder, prior_size=library.size, **options))
        return engines[-1]

    yield make
    for event in library.opened.values():
        event.set()
    for engine in engines:
        engine.stop(drain=False)


@pytest.fixture
def engine(make: Callable[..., Engine]) -> Engine:
    """Two priors fit."""
    return make(prior_memory=10 * MIB)


class Occupant:
    """A job that has begun with its prior and stays until it is told to leave."""

    def __init__(self, engine: Engine, prior: str, digest: str = ""):
        self.begun, self.steps, self._leave = threading.Event(), 0, threading.Event()
        self.future = engine.submit(f"occupant of {prior}", self._solver, prior, digest=digest)
        assert self.begun.wait(WAIT_S)

    def _solver(self) -> Solver:
        for step in itertools.count():
            if self._leave.is_set():
                break
            self.begun.set()
            self.steps += 1
            yield Query(Y, torch.ones(1), step, 10**9)
        return (yield from good())

    def leave(self) -> None:
        self._leave.set()
        assert_good(self.future)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def names(engine: Engine) -> dict[str, str]:
    return {prior.name: state for prior, state in engine.priors.items()}


def test_a_load_stalls_no_running_job_and_is_in_the_timings_of_those_that_waited(
    engine: Engine, library: Library
) -> None:
    occupant = Occupant(engine, "warm")
    library.hold("cold")
    waiting = [engine.submit(f"waiting {number}", good, "cold") for number in range(2)]
    assert library.entered["cold"].wait(WAIT_S)
    steps = occupant.steps
    wait_until(lambda: occupant.steps > steps + 10)
    beside = engine.submit("beside", good, "warm")
    assert_good(beside)
    assert not any(future.done() for future in waiting)
    assert names(engine) == {"warm": "ready", "cold": "loading"}
    library.open("cold")
    for future in waiting:
        assert_good(future)
        assert future.result().load_s > 0
    assert library.loads == ["warm", "cold"]
    again = engine.submit("again", good, "cold")
    assert_good(again)
    assert again.result().load_s == beside.result().load_s == 0
    occupant.leave()


def test_what_a_job_waited_is_not_in_its_run(engine: Engine, library: Library) -> None:
    library.hold("cold")
    began = time.monotonic()
    future = engine.submit("job", good, "cold")
    assert library.entered["cold"].wait(WAIT_S)
    time.sleep(0.05)
    library.open("cold")
    outcome = future.result(WAIT_S)
    assert outcome.load_s > 0.04
    assert outcome.load_s + outcome.run_s <= time.monotonic() - began


def test_cancel_and_deadline_act_while_a_prior_is_loaded(engine: Engine, library: Library) -> None:
    library.hold("cold")
    cancelled = engine.submit("cancelled", good, "cold")
    late = engine.submit("late", good, "cold", deadline=time.monotonic() + 0.05)
    patient = engine.submit("patient", good, "cold")
    assert library.entered["cold"].wait(WAIT_S)
    with pytest.raises(DeadlineExceeded, match="before the start"):
        late.result(WAIT_S)
    assert engine.cancel("cancelled")
    with pytest.raises(CancelledError):
        cancelled.result(WAIT_S)
    wait_until(lambda: not engine.cancel("cancelled"))
    library.open("cold")
    assert_good(patient)


def test_a_stop_does_not_wait_for_a_load_unless_it_drains(make: Callable[..., Engine], library: Library) -> None:
    library.hold("cold")
    engine = make()
    future = engine.submit("job", good, "cold")
    assert library.entered["cold"].wait(WAIT_S)
    engine.stop(drain=False)
    with pytest.raises(EngineStopped):
        future.result(0)
    draining = make()
    future = draining.submit("job", good, "cold")
    library.open("cold")
    draining.stop(drain=True)
    assert_good(future)


def test_a_failed_load_ends_the_jobs_that_waited_for_it_and_is_tried_again(engine: Engine, library: Library) -> None:
    library.hold("p")
    library.failures["p"] = PriorError("its digest is wrong")
    futures = [engine.submit(f"job {number}", good, "p") for number in range(3)]
    other = engine.submit("other", good, "q")
    library.open("p")
    for future in futures:
        with pytest.raises(PriorLoadFailed, match="the prior p could not be loaded: its digest is wrong") as caught:
            future.result(WAIT_S)
        assert isinstance(caught.value.__cause__, PriorError)
    assert_good(other)
    assert_good(engine.submit("again", good, "p"))


def test_a_lost_device_ends_the_engine_also_in_a_load(engine: Engine, library: Library) -> None:
    library.failures["p"] = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")
    with pytest.raises(EngineStopped, match="the engine died"):
        engine.submit("job", good, "p").result(WAIT_S)
    assert not engine.healthy


def test_the_least_recently_used_prior_makes_room(engine: Engine, library: Library, recorder: Recorder) -> None:
    for number, name in enumerate(["a", "b", "a", "c", "a", "b"]):
        assert_good(engine.submit(f"job {number}", good, name))
    assert library.loads == recorder.loaded == ["a", "b", "c", "b"]
    assert recorder.evicted == ["b", "c"]
    assert names(engine) == {"a": "ready", "b": "ready"}


def test_a_job_waits_for_memory_until_others_leave_and_sooner_or_later_they_do(
    engine: Engine, library: Library
) -> None:
    library.sizes["large"] = 8 * MIB
    first, second = Occupant(engine, "a"), Occupant(engine, "b")
    future = engine.submit("job", good, "large")
    first.leave()
    assert_good(engine.submit("beside", good, "b"))
    assert not future.done() and "large" not in library.loads  # the other one is in its way
    second.leave()
    assert_good(future)
    assert future.result().load_s > 0
    assert names(engine) == {"large": "ready"}


def test_a_stream_of_jobs_for_a_warm_prior_does_not_starve_another(make: Callable[..., Engine]) -> None:
    """Each of them is there before the one before it has ended, so that their prior is in use all the time."""
    engine, stopped = make(prior_memory=4 * MIB), threading.Event()
    occupant = Occupant(engine, "a")
    future = engine.submit("job", good, "b")

    def keep_coming() -> None:
        before = occupant.future
        while not stopped.is_set():
            following = engine.submit("following", good, "a")
            occupant.leave()
            assert_good(before)
            before = following

    stream = threading.Thread(target=keep_coming)
    stream.start()
    assert_good(future)
    stopped.set()
    stream.join(WAIT_S)
    assert not stream.is_alive()


def test_a_prior_that_can_never_fit_is_refused_in_words(engine: Engine, library: Library) -> None:
    library.sizes["giant"] = 11 * MIB
    with pytest.raises(PriorLoadFailed, match="giant could not be loaded: it takes 11 MiB and this worker has 10 MiB"):
        engine.submit("job", good, "giant").result(WAIT_S)
    with pytest.raises(PriorLoadFailed, match="there is no prior of this name"):
        engine.submit("job", good, "unknown").result(WAIT_S)
    assert library.loads == []


def test_a_prior_that_was_replaced_is_loaded_anew_and_the_old_one_stays_what_it_was(
    engine: Engine, library: Library
) -> None:
    old, new = "1" * 64, "2" * 64
    library.digests["p"] = old
    occupant = Occupant(engine, "p", old)
    library.digests["p"] = new  # the files were replaced
    assert_good(engine.submit("new", good, "p", digest=new))
    assert library.loads == ["p", "p"]
    assert_good(engine.submit("old", good, "p", digest=old))  # still in memory
    assert engine.priors == {PriorId("p", old): "ready", PriorId("p", new): "ready"}
    occupant.leave()


def test_weights_that_are_gone_are_not_replaced_by_others(engine: Engine, library: Library) -> None:
    library.digests["p"] = "2" * 64
    with pytest.raises(PriorLoadFailed, match="111111111111.. are gone; those that are there have 222222222222.."):
        engine.submit("job", good, "p", digest="1" * 64).result(WAIT_S)


def test_loading_and_unloading_on_request(engine: Engine, library: Library, recorder: Recorder) -> None:
    assert engine.load("a").result(WAIT_S).load_s > 0
    assert engine.load("a").result(WAIT_S).load_s == 0
    occupant = Occupant(engine, "b")
    engine.unload("b")
    engine.unload("a")
    engine.unload("nobody")
    wait_until(lambda: names(engine) == {"b": "ready"})
    occupant.leave()
    wait_until(lambda: names(engine) == {})
    assert sorted(recorder.evicted) == ["a", "b"]
    library.failures["a"] = PriorError("damaged")
    with pytest.raises(PriorLoadFailed, match="damaged"):
        engine.load("a").result(WAIT_S)


def test_an_endless_job_keeps_its_prior(engine: Engine) -> None:
    future = engine.submit("endless", endless, "a")
    for name in ("b", "c", "d"):
        assert_good(engine.submit(name, good, name))
    assert "a" in names(engine)
    assert future.cancel()
