"""Which priors stay in memory, and who waits for one. Pure decisions on plain numbers: no tensor, no clock, no thread.

Priors are loaded one at a time, in the order in which jobs asked for them. A prior that does not fit beside the others
takes the place of those that were not used for the longest time, of the unused ones alone. Where these are too few, its
jobs wait; jobs of warm priors may overtake them `patience` times, and after that nobody begins before them. A job that
needs several priors is the first to keep what it has while the others come, and nothing from those that are before it:
no two wait for each other, and all of them get their turn.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class PriorId(NamedTuple):
    """A prior as a job means it. Two sets of weights that had the same name, one after the other, are two priors."""

    name: str
    digest: str = ""
    """SHA-256 of the weights; empty for whichever there are."""

    def __str__(self) -> str:
        return self.name


class Request(NamedTuple):
    """A lane that has not begun."""

    lane: int
    sizes: Mapping[PriorId, int]
    """Bytes of each prior that it needs, all at one time."""


@dataclass
class Decision:
    """What to do now, in this order."""

    refuse: list[int] = field(default_factory=list)
    """Lanes whose priors alone are larger than the budget."""
    begin: list[int] = field(default_factory=list)
    """Lanes whose priors are warm."""
    evict: list[PriorId] = field(default_factory=list)
    load: PriorId | None = None


class Residency:
    """The priors that are in memory or on their way into it."""

    def __init__(self, budget: float = math.inf, patience: int = 8):
        """budget: bytes that all of them may take together."""
        self.budget = budget
        self.patience = patience
        self._warm: dict[PriorId, int] = {}  # sizes, the least recently used first
        self._loading: tuple[PriorId, int] | None = None
        self._unwanted: set[PriorId] = set()
        self._first_blocked: int | None = None
        self._overtaken = 0

    def decide(self, waiting: Iterable[Request], in_use: Collection[PriorId]) -> Decision:
        """waiting: in the order of arrival. in_use: priors of lanes that have begun. The answer counts as done."""
        in_use, decision, blocked = set(in_use), Decision(), False
        for lane, sizes in waiting:
            cold = [prior for prior in sizes if prior not in self._warm]
            if sum(sizes.values()) > self.budget:
                decision.refuse.append(lane)
            elif not cold:
                if blocked and self._overtaken >= self.patience:
                    continue
                self._overtaken += blocked
                decision.begin.append(lane)
                in_use.update(sizes)
                for prior in sizes:
                    self.touch(prior)
            elif self._loading is None and not blocked:
                prior, size = cold[0], sizes[cold[0]]
                room = self._room_for(size, in_use.union(sizes))
                blocked = room is None
                self._block(lane if blocked else None)
                if room is not None:
                    decision.load, self._loading = prior, (prior, size)
                    decision.evict += self._evict(room)
        decision.evict += self._evict([prior for prior in self._unwanted & self._warm.keys() if prior not in in_use])
        return decision

    def loaded(self, success: bool) -> None:
        """The load that was decided has ended."""
        assert self._loading is not None
        prior, size = self._loading
        self._loading = None
        if success:
            self._warm[prior] = size

    def touch(self, prior: PriorId) -> None:
        """It is used, or was until now."""
        if prior in self._warm:
            self._warm[prior] = self._warm.pop(prior)

    def wish(self, name: str, stay: bool) -> None:
        """Evict what has this name as soon as nobody uses it; or, with `stay`, do so no more."""
        named = {prior for prior in self.states() if prior.name == name}
        self._unwanted = self._unwanted - named if stay else self._unwanted | named

    def states(self) -> dict[PriorId, str]:
        """`ready` or `loading`, of each prior that is not cold."""
        loading = {} if self._loading is None else {self._loading[0]: "loading"}
        return dict.fromkeys(self._warm, "ready") | loading

    def _room_for(self, size: int, in_use: Collection[PriorId]) -> list[PriorId] | None:
        """What to evict; None where that would not be enough."""
        free, evicted = self.budget - sum(self._warm.values()), []
        for prior, its_size in self._warm.items():
            if free >= size:
                break
            if prior not in in_use:
                evicted.append(prior)
                free += its_size
        return evicted if free >= size else None

    def _evict(self, priors: list[PriorId]) -> list[PriorId]:
        for prior in priors:
            del self._warm[prior]
            self._unwanted.discard(prior)
        return priors

    def _block(self, lane: int | None) -> None:
        if lane != self._first_blocked:
            self._first_blocked, self._overtaken = lane, 0
