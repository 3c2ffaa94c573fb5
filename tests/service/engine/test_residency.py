"""The decisions on plain numbers: a budget of ten, priors of a few."""

import random

import pytest

from service.engine.residency import Decision, PriorId, Request, Residency

SIZES = {"a": 4, "b": 4, "c": 4, "large": 8, "giant": 11}
A, B, C, LARGE = (PriorId(name) for name in ("a", "b", "c", "large"))


def request(lane: int, name: str) -> Request:
    """One prior, or several as `a+b`."""
    return Request(lane, {PriorId(each): SIZES[each] for each in name.split("+")})


def decide(residency: Residency, *names: str, in_use: str = "") -> Decision:
    """Lanes 0, 1, ... wait for the priors of these names."""
    return residency.decide([request(*each) for each in enumerate(names)], [PriorId(name) for name in in_use.split()])


def holding(*names: str, budget: float = 10, patience: int = 8) -> Residency:
    residency = Residency(budget, patience)
    for name in names:
        assert decide(residency, name).load == PriorId(name)
        residency.loaded(True)
    return residency


def test_a_cold_prior_is_loaded_and_its_lanes_begin_when_it_is_there() -> None:
    residency = Residency(10)
    assert decide(residency, "a", "a") == Decision(load=A)
    assert residency.states() == {A: "loading"}
    assert decide(residency, "a", "a") == Decision()
    residency.loaded(True)
    assert residency.states() == {A: "ready"}
    assert decide(residency, "a", "a") == Decision(begin=[0, 1])


def test_one_is_loaded_at_a_time_in_the_order_of_the_jobs_while_the_warm_ones_go_on() -> None:
    residency = holding("a")
    assert decide(residency, "b", "c", "a").load == B
    assert decide(residency, "b", "c", "a") == Decision(begin=[2])
    residency.loaded(True)
    assert decide(residency, "b", "c", in_use="a b").load is None  # no room for a third
    assert decide(residency, "b", "c", in_use="a").begin == [0]


def test_a_load_that_failed_leaves_nothing_and_may_be_tried_again() -> None:
    residency = Residency(10)
    decide(residency, "large")
    residency.loaded(False)
    assert residency.states() == {}
    assert decide(residency, "large").load == LARGE


def test_the_least_recently_used_makes_room_and_what_is_in_use_stays() -> None:
    residency = holding("a", "b")
    decide(residency, "a")
    assert decide(residency, "c") == Decision(evict=[B], load=C)
    residency = holding("a", "b")
    assert decide(residency, "c", in_use="a") == Decision(evict=[B], load=C)
    residency = holding("a", "b")
    residency.touch(A)
    assert decide(residency, "c").evict == [B]
    residency = holding("a", "b")
    assert decide(residency, "large").evict == [A, B]


def test_nothing_is_evicted_where_that_would_not_be_enough() -> None:
    residency = holding("a", "b")
    assert decide(residency, "large", in_use="b") == Decision()
    assert residency.states() == {A: "ready", B: "ready"}


def test_what_a_waiting_lane_is_about_to_use_is_not_evicted() -> None:
    residency = holding("a", "b")
    assert decide(residency, "a", "c") == Decision(begin=[0], evict=[B], load=C)


def test_what_can_never_fit_is_refused_and_holds_nobody_up() -> None:
    residency = holding("a")
    assert decide(residency, "giant", "b", "a") == Decision(refuse=[0], begin=[2], load=B)


def test_all_priors_of_a_lane_are_loaded_before_it_begins() -> None:
    residency = holding("c")
    assert decide(residency, "a+b") == Decision(load=A)
    residency.loaded(True)
    assert decide(residency, "a+b") == Decision(evict=[C], load=B)
    residency.loaded(True)
    assert decide(residency, "a+b") == Decision(begin=[0])


def test_what_a_lane_has_already_makes_no_room_for_what_it_lacks() -> None:
    residency = holding("a", "c")
    assert decide(residency, "a+b", in_use="c") == Decision()
    assert decide(residency, "a+b") == Decision(evict=[C], load=B)


def test_of_two_lanes_that_cannot_both_be_complete_the_first_goes_on() -> None:
    residency = holding("a", "c", budget=8)
    assert decide(residency, "a+b", "c+b") == Decision(evict=[C], load=B)
    residency.loaded(True)
    assert decide(residency, "a+b", "c+b") == Decision(begin=[0])
    assert residency.decide([request(1, "c+b")], [A, B]) == Decision()
    assert residency.decide([request(1, "c+b")], []) == Decision(evict=[A], load=C)


def test_priors_that_do_not_fit_together_are_refused() -> None:
    assert decide(Residency(10), "a+large") == Decision(refuse=[0])


def test_the_same_name_with_other_weights_is_another_prior() -> None:
    old, new = PriorId("a", "1" * 64), PriorId("a", "2" * 64)
    residency = Residency(10)
    assert residency.decide([Request(0, {old: 4})], []).load == old
    residency.loaded(True)
    assert residency.decide([Request(0, {old: 4}), Request(1, {new: 4})], []) == Decision(begin=[0], load=new)


def test_a_lane_that_waits_for_memory_is_overtaken_so_many_times_and_no_more() -> None:
    residency = holding("a", "b", patience=2)
    begun = []
    for lane in range(1, 6):
        decision = residency.decide([request(0, "large"), request(lane, "a")], [A, B])
        begun += decision.begin
    assert begun == [1, 2]
    # its neighbours have ended: it is next, whoever else has come
    decision = residency.decide([request(0, "large"), request(5, "a")], [])
    assert decision == Decision(evict=[B, A], load=LARGE)


def test_the_patience_of_one_is_not_that_of_the_next() -> None:
    residency = holding("a", "b", patience=1)
    in_use = [A, B]
    assert residency.decide([request(0, "large"), request(1, "a")], in_use).begin == [1]
    assert residency.decide([request(0, "large"), request(2, "a")], in_use).begin == []
    # the first was cancelled; another waits now
    assert residency.decide([request(3, "large"), request(4, "a")], in_use).begin == [4]


def test_what_is_unwanted_goes_when_nobody_uses_it() -> None:
    residency = holding("a", "b")
    residency.wish("a", stay=False)
    residency.wish("nobody knows this", stay=False)
    assert decide(residency, in_use="a") == Decision()
    assert decide(residency, "a") == Decision(begin=[0])
    assert decide(residency) == Decision(evict=[A])
    assert residency.states() == {B: "ready"}
    assert decide(residency, "a").load == A
    residency.loaded(True)
    assert decide(residency) == Decision()  # it was wanted anew


def test_who_was_unwanted_may_stay_after_all() -> None:
    residency = holding("a", "b")
    residency.wish("a", stay=False)
    assert decide(residency, in_use="a") == Decision()
    residency.wish("a", stay=True)
    assert decide(residency) == Decision()


@pytest.mark.parametrize("seed", range(20))
def test_every_lane_gets_its_turn_and_the_budget_is_kept(seed: int) -> None:
    """Jobs arrive without end; each holds its priors for a few turns."""
    chance = random.Random(seed)
    residency, waiting, running = Residency(10, patience=3), {}, {}
    loading, longest_wait = False, 0
    for turn in range(600):
        if len(waiting) + len(running) < 8:
            rare = {0: "large", 20: "b+c", 30: "a+c"}.get(turn % 40)
            waiting[turn] = (request(turn, rare or chance.choice("aaab")), turn)
        if loading and chance.random() < 0.5:
            residency.loaded(success=True)
            loading = False
        running = {lane: (sizes, left - 1) for lane, (sizes, left) in running.items() if left}
        in_use = {prior for sizes, _ in running.values() for prior in sizes}
        decision = residency.decide([each for each, _ in waiting.values()], in_use)
        assert not in_use & set(decision.evict)
        loading = loading or decision.load is not None
        assert sum(SIZES[prior.name] for prior in residency.states()) <= 10
        for lane in decision.begin:
            (_, sizes), since = waiting.pop(lane)
            assert residency.states().items() >= dict.fromkeys(sizes, "ready").items()
            longest_wait = max(longest_wait, turn - since)
            running[lane] = (sizes, chance.randint(1, 6))
    assert longest_wait < 120
    assert all(turn - since < 120 for _, since in waiting.values())
