"""The thread that tells of a worker's priors; what others make of it is in the tests of `holdings` and `handover`."""

from concurrent.futures import Future

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from service.queue import keeper as module
from service.queue.dbos_queue import DbosQueue
from service.queue.handover import Handover
from service.queue.holdings import Holdings, Order
from service.queue.keeper import Keeper
from service.queue.liveness import Membership
from tests.service.queue.processes import wait_for
from tests.service.queue.sleepy_worker import SleepyPriors

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Breakable(SleepyPriors):
    def load(self, prior: str, digest: str) -> Future[None]:
        if prior != "broken":
            return super().load(prior, digest)
        failed: Future[None] = Future()
        failed.set_exception(ValueError("its digest is wrong"))
        return failed


@pytest.fixture
def priors() -> Breakable:
    return Breakable()


@pytest.fixture
def keeper(queue: DbosQueue, priors: Breakable) -> Keeper:
    membership = Membership(queue.engine, 20)
    membership.enlist("me")
    membership.mark_ready("me")
    return Keeper(Handover(queue, "me", priors), capacity=3)


def test_what_changes_is_written_and_nothing_else(queue: DbosQueue, keeper: Keeper, priors: Breakable) -> None:
    written: list[str] = []

    def listen(*arguments: object) -> None:
        written.extend([str(arguments[2])] if not str(arguments[2]).startswith("SELECT") else [])

    keeper.tick()
    (mine,) = Holdings(queue.engine).live()
    assert (mine.executor_id, dict(mine.priors), mine.prior_memory, mine.capacity) == ("me", {}, 2.0**30, 3)
    sa.event.listen(queue.engine, "before_cursor_execute", listen)
    keeper.tick()
    assert written == []
    priors.load("p", "d")
    keeper.tick()
    assert [each.priors for each in Holdings(queue.engine).live()] == [{("p", "d"): "ready"}]


def test_orders_are_carried_out_and_a_load_that_fails_is_said(keeper: Keeper, priors: Breakable) -> None:
    keeper.holdings.order(["me"], Order("p", "d", True))
    keeper.holdings.order(["me"], Order("broken", "d", True))
    with capture_logs() as lines:
        keeper.tick()
    assert priors.priors == {("p", "d"): "ready"}
    assert [(line["prior"], line["reason"]) for line in lines] == [("broken", "its digest is wrong")]
    keeper.holdings.order(["me"], Order("p", "d", False))
    keeper.tick()
    assert priors.priors == {}


def test_it_learns_of_peers(queue: DbosQueue, keeper: Keeper) -> None:
    keeper.tick()
    assert not keeper.handover.has_peers
    membership = Membership(queue.engine, 20)
    membership.enlist("peer")
    membership.mark_ready("peer")
    keeper.tick()
    assert keeper.handover.has_peers


def test_it_goes_on_after_a_round_that_failed(
    queue: DbosQueue, keeper: Keeper, priors: Breakable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "INTERVAL_S", 0.01)
    keeper.start()
    failures: list[Exception] = [sa.exc.OperationalError("SELECT 1", {}, ConnectionError()), KeyError("unforeseen")]
    publish = keeper.holdings.publish

    def failing(mine: object) -> None:
        if failures:
            raise failures.pop()
        publish(mine)

    monkeypatch.setattr(keeper.holdings, "publish", failing)
    priors.load("p", "d")
    wait_for(lambda: [dict(each.priors) for each in keeper.holdings.live()] == [{("p", "d"): "ready"}], "the news")
    keeper.stop()
    assert failures == []
