"""The scheduler on plain numbers, with a runner that only counts."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine.scheduler import MEMORY, Batch, BatchKey, Kind, Scheduler, Share

A = BatchKey("a", 64)
B = BatchKey("b", 64)
VJP = BatchKey("a", 64, kind=Kind.VJP)
KEYS = [BatchKey("a", 64), BatchKey("a", 128), BatchKey("b", 64), VJP]


def test_imports_no_torch() -> None:
    code = "import service.engine.scheduler, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_nothing_to_do() -> None:
    assert Scheduler(64 * 64).next_batch() is None


def test_lanes_with_equal_keys_share_a_batch_and_others_do_not() -> None:
    scheduler = Scheduler(8 * 64 * 64)
    for lane, key in enumerate([A, A, B, A]):
        scheduler.offer(lane, key, tiles=1)
    assert scheduler.next_batch() == Batch(A, (Share(0, 0, 1), Share(1, 0, 1), Share(3, 0, 1)))


def test_what_is_differentiated_shares_a_batch_with_its_like_alone() -> None:
    scheduler = Scheduler(40 * 64 * 64)
    for lane, key in enumerate([VJP, A, A, VJP, VJP]):
        scheduler.offer(lane, key, tiles=1)
    batch = scheduler.next_batch()
    assert batch == Batch(VJP, (Share(0, 0, 1), Share(3, 0, 1), Share(4, 0, 1)))
    scheduler.completed(batch)
    assert scheduler.next_batch() == Batch(A, (Share(1, 0, 1), Share(2, 0, 1)))


def test_a_call_that_is_differentiated_holds_fewer_tiles() -> None:
    scheduler = Scheduler(40 * 64 * 64)
    assert scheduler.capacity(A) == 40
    assert scheduler.capacity(VJP) == 40 // MEMORY[Kind.VJP] == 8
    assert Scheduler(64 * 64).capacity(VJP) == 1


def test_a_shortage_of_one_kind_of_call_teaches_nothing_about_the_other() -> None:
    scheduler = Scheduler(40 * 64 * 64)
    scheduler.offer(0, VJP, tiles=10**6)
    assert scheduler.too_large(scheduler.next_batch())
    assert (scheduler.capacity(A), scheduler.capacity(VJP)) == (40, 4)
    for _ in range(3 * Scheduler.GROW_AFTER):
        scheduler.completed(scheduler.next_batch())
    assert (scheduler.capacity(A), scheduler.capacity(VJP)) == (40, 8)


def test_a_batch_changes_nothing_before_it_has_run() -> None:
    scheduler = Scheduler(2 * 64 * 64)
    scheduler.offer(0, A, tiles=3)
    first = scheduler.next_batch()
    assert scheduler.next_batch() == first == Batch(A, (Share(0, 0, 2),))
    assert scheduler.completed(first) == []
    last = scheduler.next_batch()
    assert last == Batch(A, (Share(0, 2, 1),))
    assert scheduler.completed(last) == [0]
    assert scheduler.next_batch() is None


def test_a_large_image_gets_what_small_ones_leave() -> None:
    scheduler = Scheduler(8 * 64 * 64)
    scheduler.offer(0, A, tiles=4000)
    for lane in (1, 2, 3):
        scheduler.offer(lane, A, tiles=1)
    assert {share.lane: share.count for share in scheduler.next_batch().shares} == {0: 5, 1: 1, 2: 1, 3: 1}


def test_heavier_lanes_go_first() -> None:
    scheduler = Scheduler(64 * 64)
    scheduler.offer(0, A, tiles=1, weight=1)
    scheduler.offer(1, A, tiles=1, weight=4)
    assert scheduler.next_batch().shares[0].lane == 1


def test_waiting_outweighs_weight_in_the_end() -> None:
    scheduler = Scheduler(64 * 64)
    scheduler.offer(0, A, tiles=1, weight=1)
    scheduler.offer(1, B, tiles=1000, weight=1e9)
    turns = 0
    while (batch := scheduler.next_batch()).shares[0].lane == 1:
        scheduler.completed(batch)
        turns += 1
    assert turns == scheduler.patience * 2


def test_out_of_memory_halves_the_limit_of_that_prior_alone() -> None:
    scheduler = Scheduler(16 * 64 * 64)
    scheduler.offer(0, A, tiles=100)
    sizes = []
    while scheduler.too_large(batch := scheduler.next_batch()):
        sizes.append(batch.size)
    assert sizes == [16, 8, 4, 2]
    assert batch.size == 1
    assert scheduler.capacity(A) == 1
    assert scheduler.capacity(B) == 16


def test_a_batch_that_was_not_full_teaches_its_own_size() -> None:
    scheduler = Scheduler(16 * 64 * 64)
    scheduler.offer(0, A, tiles=6)
    assert scheduler.too_large(scheduler.next_batch())
    assert scheduler.next_batch().size == 3


def test_a_single_large_tile_teaches_what_smaller_ones_may_take_together() -> None:
    scheduler = Scheduler(16 * 256 * 256)
    scheduler.offer(0, BatchKey("a", 256), tiles=1)
    assert not scheduler.too_large(scheduler.next_batch())
    scheduler.offer(0, A, tiles=100)
    assert scheduler.next_batch().size == 8


def test_a_learnt_limit_grows_back_after_a_quiet_time_and_never_beyond_the_first() -> None:
    scheduler = Scheduler(4 * 64 * 64)
    scheduler.offer(0, A, tiles=10**6)
    assert scheduler.too_large(scheduler.next_batch())
    sizes = []
    for _ in range(3 * Scheduler.GROW_AFTER):
        batch = scheduler.next_batch()
        sizes.append(batch.size)
        scheduler.completed(batch)
    assert sizes == [2] * Scheduler.GROW_AFTER + [4] * 2 * Scheduler.GROW_AFTER


def test_a_tile_above_the_limit_still_runs() -> None:
    assert Scheduler(1).capacity(BatchKey("a", 256)) == 1


def test_a_replaced_demand_keeps_its_age() -> None:
    scheduler = Scheduler(64 * 64)
    scheduler.offer(0, A, tiles=1)
    scheduler.offer(1, B, tiles=50, weight=5)
    scheduler.completed(scheduler.next_batch())
    scheduler.offer(0, A, tiles=4)
    scheduler.withdraw(1)
    scheduler.offer(2, B, tiles=1, weight=1.5)
    assert scheduler.next_batch() == Batch(A, (Share(0, 0, 1),))  # 2 turns * 1 before 1 turn * 1.5


def test_a_withdrawn_lane_is_gone() -> None:
    scheduler = Scheduler(64 * 64)
    scheduler.offer(0, A, tiles=1)
    scheduler.withdraw(0)
    scheduler.withdraw(0)
    assert scheduler.next_batch() is None


def test_completing_after_a_withdrawal_is_refused() -> None:
    """The engine withdraws between batches only; anything else would hide a lost answer."""
    scheduler = Scheduler(64 * 64)
    scheduler.offer(0, A, tiles=1)
    batch = scheduler.next_batch()
    scheduler.withdraw(0)
    with pytest.raises(KeyError):
        scheduler.completed(batch)


demands = st.tuples(
    st.integers(0, 40),  # arrives at this turn
    st.sampled_from(KEYS),
    st.lists(st.integers(1, 30), min_size=1, max_size=4),  # tiles of its queries
    st.sampled_from([1.0, 2.0, 4.0, 100.0]),
)


class CountingRunner:
    """Plays engine and prior: answers batches, offers the next query of a lane, and checks every promise."""

    def __init__(self, jobs: list[tuple], fits: dict[BatchKey, int]):
        self.scheduler = Scheduler(max_batch_pixels=16 * 64 * 64)
        self.jobs = dict(enumerate(jobs))
        self.fits = fits
        self.waiting: dict[int, tuple[BatchKey, int, int]] = {}  # lane: key, next tile, tiles of its query
        self.query = dict.fromkeys(self.jobs, 0)
        self.last_served: dict[int, int] = {}
        self.longest_wait = 0

    def run(self) -> None:
        turn = 0
        while turn == 0 or self.waiting or any(arrival >= turn for arrival, *_ in self.jobs.values()):
            for lane, (arrival, *_) in self.jobs.items():
                if arrival == turn:
                    self.offer(lane, turn)
            turn = self.turn(turn)

    def offer(self, lane: int, turn: int) -> None:
        _, key, queries, weight = self.jobs[lane]
        tiles = queries[self.query[lane]]
        self.waiting[lane] = (key, 0, tiles)
        self.last_served[lane] = turn
        self.scheduler.offer(lane, key, tiles, weight)

    def turn(self, turn: int) -> int:
        batch = self.scheduler.next_batch()
        if batch is None:
            assert not self.waiting
            return turn + 1  # an idle turn: nobody waits
        assert batch.size <= max(1, self.scheduler.max_batch_pixels // batch.key.tile**2)
        if batch.size > self.fits[batch.key]:
            assert self.scheduler.too_large(batch)
            return turn
        completed = self.scheduler.completed(batch)
        for share in batch.shares:
            self.serve(share, batch, share.lane in completed, turn)
        return turn + 1

    def serve(self, share: Share, batch: Batch, is_complete: bool, turn: int) -> None:
        key, first, tiles = self.waiting[share.lane]
        assert (key, first) == (batch.key, share.first)  # tiles in order, each once
        assert 0 < share.count <= tiles - first
        assert is_complete == (first + share.count == tiles)
        self.longest_wait = max(self.longest_wait, turn - self.last_served[share.lane])
        self.last_served[share.lane] = turn + 1
        self.waiting[share.lane] = (key, first + share.count, tiles)
        if is_complete:
            del self.waiting[share.lane]
            self.query[share.lane] += 1
            if self.query[share.lane] < len(self.jobs[share.lane][2]):
                self.offer(share.lane, turn + 1)


@settings(deadline=None)
@given(
    jobs=st.lists(demands, min_size=1, max_size=12),
    fits=st.fixed_dictionaries({key: st.integers(1, 16) for key in KEYS}),
)
def test_every_tile_runs_once_and_nobody_waits_beyond_the_bound(jobs: list[tuple], fits: dict[BatchKey, int]) -> None:
    runner = CountingRunner(jobs, fits)
    runner.run()
    assert all(runner.query[lane] == len(queries) for lane, (_, _, queries, _) in runner.jobs.items())
    assert runner.longest_wait <= (runner.scheduler.patience + 1) * len(jobs)


@given(
    tiles=st.lists(st.integers(1, 50), min_size=1, max_size=12),
    capacity=st.integers(1, 40),
)
def test_a_batch_is_full_or_holds_everything_and_is_dealt_evenly(tiles: list[int], capacity: int) -> None:
    scheduler = Scheduler(capacity * 64 * 64)
    for lane, count in enumerate(tiles):
        scheduler.offer(lane, A, count)
    batch = scheduler.next_batch()
    assert batch.size == min(capacity, sum(tiles))
    counts = {share.lane: share.count for share in batch.shares}
    most = max(counts.values())
    assert all(counts.get(lane, 0) in (count, most, most - 1) for lane, count in enumerate(tiles))
