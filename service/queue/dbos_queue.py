"""The queue on DBOS Transact, as the API and the supervisor see it. Imports no torch."""

from __future__ import annotations  # a method is named `list`

from collections.abc import Sequence

import sqlalchemy as sa
from dbos import DBOSClient, DBOSPortableJSONSerializer

from service.database import connect, events, executors, handovers, job_inputs, jobs, now
from service.queue.base import DuplicateJob, JobRecord, NewJob, QueueDepth, StoredEvent
from service.queue.records import IN_STATUS, SELECT_RECORDS, record_of
from service.queue.rows import digests, job_row, queued_event
from service.queue.tables import (
    ACTIVE,
    APP_NAME,
    APP_VERSION,
    PRIORITIES,
    QUEUE_NAME,
    QUEUED,
    RUNNING,
    WORKFLOW_NAME,
    in_state,
    workflow_status,
)


class DbosQueue:
    """A `JobQueue` in a database that `schema.prepare` has seen. Blocking; safe to share between threads."""

    def __init__(self, database_url: str):
        self.engine = connect(database_url)
        self._dbos = DBOSClient(
            system_database_engine=self.engine,
            serializer=DBOSPortableJSONSerializer(),  # the default is pickle: who writes the database could run code
            application_name=APP_NAME,
            retry_connection_errors=False,  # a request gets an error while the database is away; it does not hang
        )

    def close(self) -> None:
        self._dbos.destroy()
        self.engine.dispose()

    def register(self, concurrency: int, poll_interval_s: float) -> None:
        """Tell the workers how many jobs each may hold, and how often to look. The last caller decides for all."""
        self._dbos.register_queue(QUEUE_NAME, worker_concurrency=concurrency, polling_interval_sec=poll_interval_s)

    def submit(self, new: Sequence[NewJob]) -> None:
        """Store rows, queue entries and `job.queued` events in ONE transaction. Raises `DuplicateJob`."""
        moment = now()
        with self.engine.begin() as connection:
            ahead = self._queued_by_priority(connection)
            try:
                connection.execute(jobs.insert(), [job_row(job, moment) for job in new])
            except sa.exc.IntegrityError as error:
                raise DuplicateJob(", ".join(job.id for job in new)) from error
            connection.execute(events.insert(), [queued_event(job, ahead, moment) for job in new])
            if inputs := [{"sha256": sha256, "job_id": job.id} for job in new for sha256 in set(digests(job.request))]:
                connection.execute(job_inputs.insert(), inputs)
            for job in new:
                self._dbos.enqueue_in_transaction(
                    connection,
                    {
                        "queue_name": QUEUE_NAME,
                        "workflow_name": WORKFLOW_NAME,
                        "workflow_id": job.id,
                        "priority": PRIORITIES[job.priority],
                        "app_version": APP_VERSION,
                    },
                )

    def get(self, job_id: str) -> JobRecord | None:
        found = self.get_many([job_id])
        return found[0] if found else None

    def get_many(self, job_ids: Sequence[str]) -> list[JobRecord]:
        """The jobs of these ids that exist, in the order of the ids."""
        with self.engine.connect() as connection:
            rows = connection.execute(SELECT_RECORDS.where(jobs.c.id.in_(job_ids))).all()
        found = {row.id: record_of(row) for row in rows}
        return [found[job_id] for job_id in job_ids if job_id in found]

    def list(
        self,
        owner: str,
        *,
        status: str | None = None,
        task: str | None = None,
        batch_id: str | None = None,
        before: tuple[float, str] | None = None,
        limit: int = 20,
    ) -> list[JobRecord]:
        """Newest first; `before` is the (created_at, id) of the last job of the page before."""
        query = SELECT_RECORDS.where(jobs.c.owner == owner)
        if status is not None:
            query = query.where(IN_STATUS[status])
        if task is not None:
            query = query.where(jobs.c.task == task)
        if batch_id is not None:
            query = query.where(jobs.c.batch_id == batch_id)
        if before is not None:
            query = query.where(sa.tuple_(jobs.c.created_at, jobs.c.id) < sa.tuple_(*map(sa.literal, before)))
        query = query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        with self.engine.connect() as connection:
            return [record_of(row) for row in connection.execute(query)]

    def cancel(self, job_id: str) -> None:
        """Ask for the end of a job. No effect on one that has ended; a running one stops at its next step."""
        with self.engine.begin() as connection:
            asked = connection.execute(
                jobs.update()
                .where(jobs.c.id == job_id, in_state(jobs.c.id, *ACTIVE))
                .values(cancel_requested=True, ended_at=now())
            )
        if asked.rowcount:
            self._dbos.cancel_workflow(job_id)

    def expire(self, job_ids: Sequence[str]) -> None:
        """End jobs that passed their deadline. No effect on those that have ended."""
        with self.engine.begin() as connection:
            connection.execute(
                jobs.update().where(jobs.c.id.in_(job_ids), in_state(jobs.c.id, *ACTIVE)).values(ended_at=now())
            )
        self._dbos.cancel_workflows(list(job_ids))

    def expire_overdue(self) -> list[str]:
        """End what is past its deadline, and what a caller of `cancel` that died half-way left; returns the ids."""
        with self.engine.connect() as connection:
            overdue = connection.execute(
                sa.select(jobs.c.id)
                .join(workflow_status, workflow_status.c.workflow_uuid == jobs.c.id)
                .where(workflow_status.c.queue_name == QUEUE_NAME, workflow_status.c.status.in_(ACTIVE))
                .where((jobs.c.deadline_at <= now()) | jobs.c.cancel_requested)
            ).scalars()
            job_ids = list(overdue)
        if job_ids:
            self.expire(job_ids)
        return job_ids

    def delete(self, job_ids: Sequence[str]) -> None:
        """Forget jobs that have ended."""
        with self.engine.begin() as connection:
            active = connection.execute(
                sa.select(workflow_status.c.workflow_uuid).where(
                    workflow_status.c.workflow_uuid.in_(job_ids), workflow_status.c.status.in_(ACTIVE)
                )
            ).scalars()
            ended = list(set(job_ids) - set(active))
            connection.execute(events.delete().where(events.c.job_id.in_(ended)))
            connection.execute(job_inputs.delete().where(job_inputs.c.job_id.in_(ended)))
            connection.execute(handovers.delete().where(handovers.c.job_id.in_(ended)))
            connection.execute(jobs.delete().where(jobs.c.id.in_(ended)))
        # last, so that a deletion cut short is found again by `ended_before`
        self._dbos.delete_workflows(ended)

    def place(self, job_id: str) -> int | None:
        """1 for the job that is next; None for one that is not queued."""
        me, other = workflow_status.alias("me"), workflow_status
        order = sa.tuple_(other.c.priority, other.c.created_at) < sa.tuple_(me.c.priority, me.c.created_at)
        with self.engine.connect() as connection:
            return connection.execute(
                sa.select(
                    sa.select(sa.func.count() + 1)
                    .where(other.c.queue_name == QUEUE_NAME, other.c.status.in_(QUEUED), order)
                    .correlate(me)
                    .scalar_subquery()
                ).where(me.c.workflow_uuid == job_id, me.c.status.in_(QUEUED))
            ).scalar()

    def depth(self) -> QueueDepth:
        ws = workflow_status.c
        in_queue = ws.queue_name == QUEUE_NAME
        with self.engine.connect() as connection:
            queued = self._queued_by_priority(connection)
            running = connection.execute(
                sa.select(sa.func.count()).where(in_queue, ws.status.in_(RUNNING))
            ).scalar_one()
            oldest = connection.execute(sa.select(sa.func.min(ws.created_at)).where(in_queue, ws.status.in_(QUEUED)))
            oldest_at = oldest.scalar()
            workers = connection.execute(sa.select(sa.func.count()).where(executors.c.ready)).scalar_one()
        age_s = None if oldest_at is None else max(0.0, now() - oldest_at / 1000)
        return QueueDepth(queued=queued, running=running, oldest_age_s=age_s, workers=workers)

    def events_after(self, cursors: dict[str, int]) -> list[StoredEvent]:
        """Events of several jobs, each after its own sequence number, in order; one query for all of them."""
        if not cursors:
            return []
        seen = (
            sa.values(sa.column("job_id", sa.String), sa.column("seq", sa.Integer), name="seen")
            .data(list(cursors.items()))
            .cte("seen")
        )
        query = (
            sa.select(events)
            .join(seen, (events.c.job_id == seen.c.job_id) & (events.c.seq > seen.c.seq))
            .order_by(events.c.job_id, events.c.seq)
        )
        with self.engine.connect() as connection:
            return [StoredEvent(**row._mapping) for row in connection.execute(query)]

    def ended_before(self, moment: float, limit: int) -> list[str]:
        """Ids of jobs that ended before `moment`, for the retention."""
        ws = workflow_status.c
        query = (
            sa.select(ws.workflow_uuid)
            .where(ws.name == WORKFLOW_NAME, ws.status.not_in(ACTIVE), ws.completed_at < int(moment * 1000))
            .limit(limit)
        )
        with self.engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def requeue(self, executor_ids: Sequence[str]) -> None:
        """Put the running jobs of executors that are gone back to the queue; they keep priority and age.

        Idempotent, and refused by DBOS for a job that another executor has taken since. DBOS has no public call for
        this outside of its paid control plane: these two are what its own recovery is made of.
        """
        for executor_id in executor_ids:
            for pending in self._dbos._sys_db.get_pending_workflows(executor_id, APP_VERSION):
                self._dbos._sys_db.reenqueue_for_recovery(pending.workflow_id, list(executor_ids), QUEUE_NAME)

    def give_back(self, job_id: str, executor_id: str) -> None:
        """Put one running job of this executor back to the queue, as `requeue` does with all of them."""
        self._dbos._sys_db.reenqueue_for_recovery(job_id, [executor_id], QUEUE_NAME)

    def _queued_by_priority(self, connection: sa.Connection) -> dict[str, int]:
        ws = workflow_status.c
        rows = connection.execute(
            sa.select(ws.priority, sa.func.count())
            .where(ws.queue_name == QUEUE_NAME, ws.status.in_(QUEUED))
            .group_by(ws.priority)
        ).all()
        counts = {priority: count for priority, count in rows}
        return {name: counts.get(priority, 0) for name, priority in PRIORITIES.items()}
