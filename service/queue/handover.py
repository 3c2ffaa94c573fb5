"""A job prefers a worker that has its prior warm.

DBOS gives a job to whichever worker asks first. One that would have to load the prior leaves the job, once, to a peer
that has it warm and has room: it puts the job back into the queue, where for `GRACE_S` only that peer sees it. After
that, or as soon as the peer is dead, anybody takes it and keeps it. So nothing can be lost, a job changes hands once at
most, and it keeps its priority and its age. A worker without peers does none of this.
"""

import sqlalchemy as sa

from service.database import clock, executors, handovers, jobs
from service.queue.base import PriorHolder
from service.queue.dbos_queue import DbosQueue
from service.queue.holdings import Holdings
from service.queue.tables import QUEUED, workflow_status

GRACE_S = 2.0


class Handover:
    """The hand-overs of one executor. Blocking; safe to share between threads."""

    def __init__(self, queue: DbosQueue, executor_id: str, priors: PriorHolder):
        self.queue = queue
        self.engine = queue.engine
        self.executor_id = executor_id
        self.priors = priors
        self.holdings = Holdings(queue.engine)
        self.has_peers = False
        """Kept up by `service.queue.keeper`."""

    def leave(self, job_id: str) -> bool:
        """Leave a job of ours to a peer that is better off with it, if there is one. Then it is no longer ours."""
        if not self.has_peers:
            return False
        prior = self._prior_of(job_id)
        if prior is None or prior in self.priors.priors:
            return False
        peer = self._peer_with(prior)
        if peer is None or not self._reserve(job_id, peer):
            return False
        self.queue.give_back(job_id, self.executor_id)
        return True

    def not_for_us(self, job_id: sa.ColumnElement[str]) -> list[sa.ColumnElement[bool]]:
        """Conditions of a claim: what is left to a peer, and the peer alive, is not for us to take."""
        if not self.has_peers:
            return []
        reserved = sa.select(handovers.c.job_id).where(
            handovers.c.until > clock(self.engine),
            handovers.c.executor_id != self.executor_id,
            handovers.c.executor_id.in_(sa.select(executors.c.id)),
        )
        return [job_id.not_in(reserved)]

    def _prior_of(self, job_id: str) -> tuple[str, str] | None:
        with self.engine.connect() as connection:
            request = connection.execute(sa.select(jobs.c.request).where(jobs.c.id == job_id)).scalar()
        return (request["prior"], request["prior_digest"]) if request and "prior" in request else None

    def _peer_with(self, prior: tuple[str, str]) -> str | None:
        """Of the peers that have the prior warm, the one with the most room."""
        left = self._left_to()
        rooms = {
            each.executor_id: each.capacity - each.running - left.get(each.executor_id, 0)
            for each in self.holdings.live()
            if each.executor_id != self.executor_id and each.priors.get(prior) == "ready"
        }
        best = max(rooms, key=rooms.__getitem__, default=None)
        return best if best is not None and rooms[best] > 0 else None

    def _left_to(self) -> dict[str, int]:
        """Jobs that wait for each executor to take them."""
        query = (
            sa.select(handovers.c.executor_id, sa.func.count())
            .join(workflow_status, workflow_status.c.workflow_uuid == handovers.c.job_id)
            .where(handovers.c.until > clock(self.engine), workflow_status.c.status.in_(QUEUED))
            .group_by(handovers.c.executor_id)
        )
        with self.engine.connect() as connection:
            return {executor_id: count for executor_id, count in connection.execute(query)}

    def _reserve(self, job_id: str, peer: str) -> bool:
        """False where the job has changed hands before."""
        row = {"job_id": job_id, "executor_id": peer, "until": clock(self.engine) + GRACE_S}
        try:
            with self.engine.begin() as connection:
                connection.execute(handovers.insert().values(row))
        except sa.exc.IntegrityError:
            return False
        return True
