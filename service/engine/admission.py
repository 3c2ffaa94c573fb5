"""The way of a job from its arrival to its first step: it waits here until its priors are warm."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from queue import SimpleQueue

from service.engine.errors import PriorLoadFailed
from service.engine.lane import Lane
from service.engine.loader import Loader
from service.engine.observer import EngineObserver
from service.engine.residency import Decision, PriorId, Request, Residency
from service.engine.runner import Runner, is_fatal

MEBIBYTE = 2**20


@dataclass
class _Waiting:
    lane: Lane
    sizes: Mapping[PriorId, int]
    since: float | None = None
    """None before the first look: who begins then has not waited."""


class Admission:
    """Carries out what `Residency` decides. Used by the engine's thread alone, except for `states` and `wish`."""

    def __init__(
        self,
        runner: Runner,
        residency: Residency,
        loader: Loader,
        size_of: Callable[[str], int],
        observe: EngineObserver,
    ):
        """size_of: bytes of a prior by its name, known before it is loaded; raises where it cannot be."""
        self._runner = runner
        self._residency = residency
        self._loader = loader
        self._size_of = size_of
        self._observe = observe
        self._sizes: dict[PriorId, int] = {}
        self._waiting: dict[int, _Waiting] = {}  # by lane, in the order of arrival
        self._begun: dict[int, tuple[PriorId, ...]] = {}
        self._wishes: SimpleQueue[tuple[str, bool]] = SimpleQueue()
        self.states: dict[PriorId, str] = {}
        """`loading` or `ready`, of each prior that is not cold. Replaced, never changed: any thread may read it."""

    def enter(self, lane: Lane) -> None:
        """A job has arrived. Raises PriorLoadFailed where nothing can be known of one of its priors."""
        self._waiting[lane.number] = _Waiting(lane, {prior: self._size(prior) for prior in lane.job.priors})

    def leave(self, lane: Lane) -> None:
        """A job has ended, wherever it was."""
        self._waiting.pop(lane.number, None)
        for prior in self._begun.pop(lane.number, ()):
            self._residency.touch(prior)

    def wish(self, name: str, stay: bool) -> None:
        """At the next turn: let go of a prior as soon as nobody uses it; or, with `stay`, keep it after all."""
        self._wishes.put((name, stay))

    def turn(self) -> tuple[list[tuple[Lane, float]], list[tuple[Lane, PriorLoadFailed]]]:
        """The lanes to begin now, each with its seconds of waiting for its priors; and those to end, with reasons."""
        while not self._wishes.empty():
            self._residency.wish(*self._wishes.get())
        failed = self._take_loaded()
        failing = {lane.number for lane, _ in failed}
        requests = [Request(number, each.sizes) for number, each in self._waiting.items() if number not in failing]
        decision = self._residency.decide(requests, set(chain(*self._begun.values())))
        self._move(decision)
        begin = [self._begin(number) for number in decision.begin]
        failed += [(self._waiting[number].lane, self._too_large(number)) for number in decision.refuse]
        for each in self._waiting.values():
            each.since = each.since or time.monotonic()
        return begin, failed

    def _take_loaded(self) -> list[tuple[Lane, PriorLoadFailed]]:
        """Put the prior that was loaded into its place; the lanes that it was loaded for, where that failed."""
        ended = self._loader.take()
        if ended is None:
            return []
        self._residency.loaded(success=ended.prior is not None)
        if ended.prior is not None:
            self._runner.add(ended.id, ended.prior)
            self._observe.prior_loaded(ended.id.name, ended.seconds)
            return []
        if is_fatal(ended.error):
            raise ended.error
        self._runner.release()
        self._sizes.pop(ended.id, None)
        lanes = [each.lane for each in self._waiting.values() if ended.id in each.sizes]
        return [(lane, _load_failed(ended.id, ended.error)) for lane in lanes]

    def _move(self, decision: Decision) -> None:
        for prior in decision.evict:
            self._runner.remove(prior)
            self._observe.prior_evicted(prior.name)
        if decision.load is not None:
            self._loader.begin(decision.load)
        self.states = self._residency.states()

    def _begin(self, number: int) -> tuple[Lane, float]:
        waited = self._waiting.pop(number)
        self._begun[number] = waited.lane.job.priors
        return waited.lane, 0.0 if waited.since is None else time.monotonic() - waited.since

    def _too_large(self, number: int) -> PriorLoadFailed:
        sizes, budget = self._waiting[number].sizes, self._residency.budget / MEBIBYTE
        prior, *others = sizes
        beside = f"with {', '.join(map(str, others))} " if others else ""
        takes = f"{beside}it takes {sum(sizes.values()) / MEBIBYTE:.0f} MiB"
        return _load_failed(prior, f"{takes} and this worker has {budget:.0f} MiB for priors")

    def _size(self, prior: PriorId) -> int:
        if prior not in self._sizes:
            try:
                self._sizes[prior] = self._size_of(prior.name)
            except Exception as error:  # noqa: BLE001 - as in a load
                raise _load_failed(prior, error) from error
        return self._sizes[prior]


def _load_failed(prior: PriorId, why: object) -> PriorLoadFailed:
    failure = PriorLoadFailed(f"the prior {prior} could not be loaded: {why}")
    failure.__cause__ = why if isinstance(why, Exception) else None
    return failure
