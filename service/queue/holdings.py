"""Which worker has which priors in memory: each writes it down, so that its peers and the API know."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from service.database import executors, holdings, prior_orders
from service.queue.tables import RUNNING, WORKFLOW_NAME, workflow_status


@dataclass(frozen=True)
class Holding:
    """What one worker has."""

    executor_id: str
    priors: Mapping[tuple[str, str], str]
    """By name and digest: `loading` or `ready`."""
    prior_memory: float
    """Bytes that its priors may take together."""
    capacity: int
    """Jobs that it runs at one time."""
    running: int = 0
    """Jobs that it has now."""


@dataclass(frozen=True)
class Order:
    """What a worker was asked to do with a prior."""

    prior: str
    digest: str
    load: bool
    """Else let go of it."""


class Holdings:
    """Blocking; safe to share between threads."""

    def __init__(self, engine: sa.Engine):
        self.engine = engine

    def publish(self, mine: Holding) -> None:
        values = {
            "priors": [[name, digest, state] for (name, digest), state in mine.priors.items()],
            "prior_memory": None if math.isinf(mine.prior_memory) else mine.prior_memory,
            "capacity": mine.capacity,
        }
        own = holdings.c.executor_id == mine.executor_id
        with self.engine.begin() as connection:
            if not connection.execute(holdings.update().where(own).values(values)).rowcount:
                connection.execute(holdings.insert().values(executor_id=mine.executor_id, **values))

    def live(self) -> list[Holding]:
        """Of every worker that is alive and takes jobs."""
        running = (
            sa.select(sa.func.count())
            .where(
                workflow_status.c.name == WORKFLOW_NAME,
                workflow_status.c.status.in_(RUNNING),
                workflow_status.c.executor_id == holdings.c.executor_id,
            )
            .scalar_subquery()
        )
        query = (
            sa.select(holdings, running.label("running"))
            .join(executors, executors.c.id == holdings.c.executor_id)
            .where(executors.c.ready)
            .order_by(holdings.c.executor_id)
        )
        with self.engine.connect() as connection:
            return [_holding(row) for row in connection.execute(query)]

    def has_peers(self, executor_id: str) -> bool:
        """Whether another worker takes jobs, too."""
        query = sa.select(executors.c.id).where(executors.c.ready, executors.c.id != executor_id).limit(1)
        with self.engine.connect() as connection:
            return connection.execute(query).first() is not None

    def order(self, executor_ids: list[str], order: Order) -> None:
        """Ask workers for something. Of two orders about one prior the later counts."""
        with self.engine.begin() as connection:
            connection.execute(
                prior_orders.delete().where(
                    prior_orders.c.executor_id.in_(executor_ids), prior_orders.c.prior == order.prior
                )
            )
            connection.execute(prior_orders.insert(), [{"executor_id": id_, **vars(order)} for id_ in executor_ids])

    def take_orders(self, executor_id: str) -> list[Order]:
        """What this worker was asked for since the last time."""
        mine = prior_orders.c.executor_id == executor_id
        with self.engine.connect() as connection:
            if connection.execute(sa.select(prior_orders.c.prior).where(mine).limit(1)).first() is None:
                return []  # as nearly always: no lock for a look
        columns = (prior_orders.c.prior, prior_orders.c.digest, prior_orders.c.load)
        with self.engine.begin() as connection:
            return [Order(*row) for row in connection.execute(prior_orders.delete().where(mine).returning(*columns))]

    def forget_the_dead(self) -> None:
        """Delete what belongs to no executor any more."""
        alive = sa.select(executors.c.id)
        with self.engine.begin() as connection:
            for table in (holdings, prior_orders):
                connection.execute(table.delete().where(table.c.executor_id.not_in(alive)))


def _holding(row: sa.Row) -> Holding:
    return Holding(
        executor_id=row.executor_id,
        priors={(name, digest): state for name, digest, state in row.priors},
        prior_memory=math.inf if row.prior_memory is None else row.prior_memory,
        capacity=row.capacity,
        running=row.running,
    )
