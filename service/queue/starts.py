"""The record of starts, which tells the deeds of a job from its bad company.

DBOS counts claims. A job that kills its worker would so be charged to all that were claimed beside it. We count starts
of the body instead, and only the starts whose worker was lost count against a job:

- A start writes the executor into the job's row. An executor that shuts down in order clears it; one that dies cannot.
  A start that finds the mark of an earlier one therefore knows of a loss.
- A job with a loss is a suspect and runs alone (`gate.py`). So a job pays for another's deeds at most once, with its
  first loss; every further one happened while nothing else was running in that worker.
- At `max_attempts` losses the job fails as `worker_lost` and is not started again.
"""

import sqlalchemy as sa

from service.database import jobs, now
from service.queue.base import Claim
from service.queue.tables import RUNNING, WORKFLOW_NAME, workflow_status

CLAIMED = ("id", "owner", "task", "request", "attempt", "deadline_at", "losses")
"""The fields of a `Claim`."""


class Starts:
    """The starts of one executor. Blocking; safe to share between threads."""

    def __init__(self, engine: sa.Engine, executor_id: str):
        self.engine = engine
        self.executor_id = executor_id

    def losses(self, job_id: str) -> int:
        """How many runs of this job have lost their worker."""
        with self.engine.connect() as connection:
            return connection.execute(sa.select(self._losses_with_last()).where(jobs.c.id == job_id)).scalar_one()

    def open(self, job_id: str) -> Claim | None:
        """Write down that the body starts now. None where the job is no longer ours: canceled, or given to another."""
        with self.engine.begin() as connection:
            row = connection.execute(
                jobs.update()
                .where(jobs.c.id == job_id, self._is_ours(jobs.c.id))
                .values(
                    attempt=jobs.c.attempt + 1,
                    losses=self._losses_with_last(),
                    running_on=self.executor_id,
                    started_at=now(),
                    ended_at=None,
                    progress=sa.null(),
                )
                .returning(*(jobs.c[name] for name in CLAIMED))
            ).one_or_none()
        return None if row is None else Claim(**row._mapping)

    def close(self, job_id: str) -> None:
        """Write down when the body ended, just before DBOS learns the outcome."""
        with self.engine.begin() as connection:
            connection.execute(
                jobs.update().where(jobs.c.id == job_id, self._is_ours(jobs.c.id)).values(ended_at=now())
            )

    def release(self) -> None:
        """Take back the marks of this executor: what it was still running did not cost it its life."""
        release(self.engine, self.executor_id)

    def _losses_with_last(self) -> sa.ColumnElement[int]:
        mark = jobs.c.running_on  # our own: this start was written before, and the answer of the database got lost
        return jobs.c.losses + sa.case((mark.is_not(None) & (mark != self.executor_id), 1), else_=0)

    def _is_ours(self, job_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
        ws = workflow_status.c
        return sa.exists().where(
            ws.workflow_uuid == job_id,
            ws.name == WORKFLOW_NAME,
            ws.status.in_(RUNNING),
            ws.executor_id == self.executor_id,
        )


def release(engine: sa.Engine, executor_id: str) -> None:
    """Clear the marks of an executor that stopped, or was stopped, on purpose."""
    with engine.begin() as connection:
        connection.execute(jobs.update().where(jobs.c.running_on == executor_id).values(running_on=None))
