"""What a worker tells of its priors, and what others ask of them."""

import threading
from concurrent.futures import Future
from typing import Any

import sqlalchemy as sa
import structlog

from service.queue.handover import Handover
from service.queue.holdings import Holding, Holdings, Order

INTERVAL_S = 1.0

log = structlog.get_logger(__name__)


class Keeper:
    """A thread that writes down which priors this worker has, carries out orders, and looks whether it has peers."""

    def __init__(self, handover: Handover, capacity: int):
        self.holdings = Holdings(handover.engine)
        self.handover = handover
        self.priors = handover.priors
        self.capacity = capacity
        self._published: Holding | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="keeper", daemon=True)

    def start(self) -> None:
        """Publish a first time, and go on in a thread."""
        self.holdings.forget_the_dead()
        self.tick()
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def tick(self) -> None:
        """One round. Raises what the database raises; the next one makes up for it."""
        mine = Holding(self.handover.executor_id, dict(self.priors.priors), self.priors.prior_memory, self.capacity)
        if mine != self._published:
            self.holdings.publish(mine)
            self._published = mine
        self.handover.has_peers = self.holdings.has_peers(self.handover.executor_id)
        for order in self.holdings.take_orders(self.handover.executor_id):
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        if not order.load:
            return self.priors.unload(order.prior)

        def tell(ended: Future[Any]) -> None:
            if not ended.cancelled() and (error := ended.exception()) is not None:
                log.warning("a prior was not loaded", prior=order.prior, reason=str(error))

        self.priors.load(order.prior, order.digest).add_done_callback(tell)

    def _run(self) -> None:
        while not self._stopped.wait(INTERVAL_S):
            try:
                self.tick()
            except Exception as error:  # noqa: BLE001 - without this thread peers go on believing what they heard last
                foreseen = isinstance(error, sa.exc.SQLAlchemyError)
                log.warning("a round of the keeper was cut short", error=str(error), exc_info=not foreseen)
