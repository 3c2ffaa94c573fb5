import math

from service.queue.dbos_queue import DbosQueue
from service.queue.holdings import Holding, Holdings, Order
from service.queue.liveness import Membership


def enlist(queue: DbosQueue, *names: str) -> Membership:
    membership = Membership(queue.engine, 20)
    for name in names:
        membership.enlist(name)
        membership.mark_ready(name)
    return membership


def test_what_a_worker_has_is_known_while_it_lives(queue: DbosQueue) -> None:
    holdings, membership = Holdings(queue.engine), enlist(queue, "a", "b")
    membership.enlist("coming up")
    first = Holding("a", {("p", "1"): "loading"}, 2.0**31, 8)
    then = Holding("a", {("p", "1"): "ready", ("q", "2"): "loading"}, 2.0**31, 8)
    other = Holding("b", {}, math.inf, 1)
    for each in (first, then, other, Holding("coming up", {}, 1.0, 1), Holding("a ghost", {}, 1.0, 1)):
        holdings.publish(each)
    assert holdings.live() == [then, other]
    membership.dismiss("a")
    assert holdings.live() == [other]


def test_whether_a_worker_is_alone(queue: DbosQueue) -> None:
    holdings, membership = Holdings(queue.engine), enlist(queue, "a")
    assert not holdings.has_peers("a") and holdings.has_peers("b")
    membership.enlist("b")
    assert not holdings.has_peers("a")  # it takes no jobs yet
    membership.mark_ready("b")
    assert holdings.has_peers("a")


def test_orders_are_read_once_and_the_last_about_a_prior_counts(queue: DbosQueue) -> None:
    holdings = Holdings(queue.engine)
    load, unload, other = Order("p", "1", True), Order("p", "1", False), Order("q", "2", True)
    holdings.order(["a", "b"], load)
    holdings.order(["a"], unload)
    holdings.order(["a"], other)
    assert sorted(holdings.take_orders("a"), key=str) == [unload, other]
    assert holdings.take_orders("a") == []
    assert holdings.take_orders("b") == [load]


def test_nothing_of_the_dead_stays(queue: DbosQueue) -> None:
    holdings, membership = Holdings(queue.engine), enlist(queue, "dead", "alive")
    for name in ("dead", "alive"):
        holdings.publish(Holding(name, {}, 1.0, 1))
        holdings.order([name], Order("p", "1", True))
    membership.dismiss("dead")
    holdings.forget_the_dead()
    enlist(queue, "dead")
    assert [each.executor_id for each in holdings.live()] == ["alive"]
    assert holdings.take_orders("dead") == [] != holdings.take_orders("alive")
