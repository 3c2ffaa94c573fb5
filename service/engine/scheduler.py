"""Which tiles go together next. Pure decisions on plain numbers: no tensor, no clock, no thread.

Time is counted in turns: one batch that ran is one turn. A lane (a running solver) has at most one demand at a time:
the tiles of the query that it waits for.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a prior is asked."""

    DENOISE = "denoise"
    """D(x, sigma)."""
    VJP = "vjp"
    """J^T v, J the Jacobian of D at x."""


MEMORY = {Kind.DENOISE: 1, Kind.VJP: 5}
"""Of a call, in plain calls over the same tiles. One that is differentiated keeps what every layer has made: with the
bundled prior 4.4 to 4.9 times as much (tiles of 64 and 256, on a CPU). Where it is more, the limit is learnt."""


@dataclass(frozen=True)
class BatchKey:
    """What tiles must have in common to share a prior call. Task, step, sigma, solver and image size are not in it."""

    prior: Hashable
    tile: int
    """Side in pixels."""
    dtype: str = "float32"
    kind: Kind = Kind.DENOISE

    @property
    def call(self) -> tuple[Hashable, Kind]:
        """What decides how many pixels fit into one call."""
        return self.prior, self.kind


@dataclass(frozen=True)
class Share:
    """`count` tiles of one lane, from its tile number `first` on."""

    lane: int
    first: int
    count: int


@dataclass(frozen=True)
class Batch:
    """One prior call."""

    key: BatchKey
    shares: tuple[Share, ...]

    @property
    def size(self) -> int:
        return sum(share.count for share in self.shares)


@dataclass
class _Demand:
    key: BatchKey
    weight: float
    left: int
    since: int
    """Turn of its last tile, or of its arrival."""
    first: int = 0


class Scheduler:
    """Fills batches fairly.

    The group of equal keys with the largest sum of waiting times weight runs next, so many waiting lanes and important
    lanes go first; but as soon as one of n lanes has waited `patience * n` turns, the one that waited longest decides.
    Each turn then serves one such lane, so that none ever waits more than `(patience + 1) * n` turns. Inside a batch
    lanes take one tile each, round by round: a picture of thousands of tiles gets what the small jobs leave.
    """

    GROW_AFTER = 256
    """Batches without a failure after which a learnt limit is doubled: memory may have been short for a while only."""

    def __init__(self, max_batch_pixels: int, patience: int = 4):
        self.max_batch_pixels = max_batch_pixels
        self.patience = patience
        self._demands: dict[int, _Demand] = {}
        self._limits: dict[tuple[Hashable, Kind], int] = {}
        self._quiet: dict[tuple[Hashable, Kind], int] = {}
        self._turn = 0

    def offer(self, lane: int, key: BatchKey, tiles: int, weight: float = 1.0) -> None:
        """`lane` waits for `tiles` > 0 answers; weight > 0. Replaces a demand that it had."""
        old = self._demands.get(lane)
        self._demands[lane] = _Demand(key, weight, left=tiles, since=old.since if old else self._turn)

    def withdraw(self, lane: int) -> None:
        """Forget the demand of `lane`; none is fine."""
        self._demands.pop(lane, None)

    @property
    def is_idle(self) -> bool:
        """Whether no lane waits for tiles."""
        return not self._demands

    def capacity(self, key: BatchKey) -> int:
        """Tiles that one call may hold: as many as the pixel limit of such calls allows, and at least one."""
        return max(1, self._limits.get(key.call, self._most(key)) // key.tile**2)

    def next_batch(self) -> Batch | None:
        """What to run now; None if nobody waits. Nothing changes before `completed` or `too_large` says how it went."""
        if not self._demands:
            return None
        key = self._choose_key()
        members = [lane for lane, demand in self._demands.items() if demand.key == key]
        members.sort(key=self._urgency, reverse=True)
        counts = self._deal(members, self.capacity(key))
        shares = (Share(lane, self._demands[lane].first, count) for lane, count in counts.items())
        return Batch(key, tuple(shares))

    def completed(self, batch: Batch) -> list[int]:
        """`batch` has run. Returns the lanes that have all their tiles now; their demands are gone."""
        self._turn += 1
        self._grow(batch.key)
        finished = []
        for share in batch.shares:
            demand = self._demands[share.lane]
            demand.first += share.count
            demand.left -= share.count
            demand.since = self._turn
            if demand.left == 0:
                del self._demands[share.lane]
                finished.append(share.lane)
        return finished

    def too_large(self, batch: Batch) -> bool:
        """`batch` did not fit into memory: halve the limit of such calls. False where it was one tile already."""
        self._quiet[batch.key.call] = 0
        self._limits[batch.key.call] = batch.size * batch.key.tile**2 // 2
        return batch.size > 1

    def _most(self, key: BatchKey) -> int:
        """Pixels in one call, before a shortage has taught otherwise."""
        return self.max_batch_pixels // MEMORY[key.kind]

    def _grow(self, key: BatchKey) -> None:
        call = key.call
        if call not in self._limits:
            return
        self._quiet[call] += 1
        if self._quiet[call] >= self.GROW_AFTER:
            self._quiet[call] = 0
            self._limits[call] = min(2 * self._limits[call], self._most(key))

    def _waited(self, lane: int) -> int:
        return self._turn - self._demands[lane].since

    def _is_overdue(self, lane: int) -> bool:
        return self._waited(lane) >= self.patience * len(self._demands)

    def _urgency(self, lane: int) -> tuple[int, float]:
        """Lanes out of patience first, by their waiting alone; the others by waiting times weight."""
        waited = self._waited(lane)
        return (waited if self._is_overdue(lane) else 0, (1 + waited) * self._demands[lane].weight)

    def _choose_key(self) -> BatchKey:
        longest = max(self._demands, key=self._waited)
        if self._is_overdue(longest):
            return self._demands[longest].key
        scores: dict[BatchKey, float] = {}
        for lane, demand in self._demands.items():
            scores[demand.key] = scores.get(demand.key, 0.0) + (1 + self._waited(lane)) * demand.weight
        return max(scores, key=scores.__getitem__)

    def _deal(self, members: list[int], capacity: int) -> dict[int, int]:
        """One tile for each lane, most urgent first, round by round, until the batch is full or nobody wants more."""
        counts = dict.fromkeys(members[:capacity], 1)
        room = capacity - len(counts)
        hungry = [lane for lane in counts if self._demands[lane].left > 1]
        while room and hungry:
            for lane in hungry[:room]:
                counts[lane] += 1
            room -= min(room, len(hungry))
            hungry = [lane for lane in hungry if self._demands[lane].left > counts[lane]]
        return counts
