"""Attempts that workers run: masters queue them without a lease, and a worker takes them under its lease."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import Connection, and_, select, update

from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match
from elastic.db.records import TaskInstanceRow, instance_of
from elastic.db.schema import dag_run, task_instance
from elastic.db.sql_clock import now

_ti, _run = task_instance.c, dag_run.c

#: Attempts that wait for a worker.
_WAITING = and_(_ti.state == TaskState.QUEUED, _ti.lease_owner.is_(None), _ti.lease_expires_at.is_(None))

_RUNS = (
    select(_run.state)
    .where(_run.dag_id == _ti.dag_id, _run.run_id == _ti.run_id, _run.state == RunState.RUNNING)
    .correlate(task_instance)
    .exists()
)


def take_attempts(
    database: Database, owner: str, lease: float, queues: Sequence[str], limit: int
) -> list[TaskInstanceRow]:
    """Take attempts of some queues that wait for a worker, in one transaction; return their rows.

    Args:
        database: The database.
        owner: The worker.
        lease: Seconds until an attempt that no process claims is queued again.
        queues: The queues.
        limit: Maximum number of attempts.
    """
    query = select(task_instance).where(_WAITING, _ti.queue.in_(queues), _RUNS)
    query = query.order_by(_ti.priority.desc(), _ti.queued_at, _ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index)
    values = {"lease_owner": owner, "lease_expires_at": now(lease), "version": _ti.version + 1}

    def work(connection: Connection, _: bool) -> list[TaskInstanceRow]:
        found = []
        for row in connection.execute(query.limit(limit).with_for_update(skip_locked=True)).all():
            one = instance_of(row)
            change = update(task_instance).where(key_match(_ti), _WAITING, _ti.attempt_uuid == one.attempt_uuid)
            if connection.execute(change.values(**values), key_bind(one.key)).rowcount:
                found.append(replace(one, version=one.version + 1, lease_owner=owner))
        return found

    return database.write(work)


def give_back_attempts(database: Database, served: Collection[str], seconds: float) -> int:
    """End the leases of attempts whose queue has no worker, so that `expire` frees their slots; return their number.

    Args:
        database: The database.
        served: Queues with a living worker.
        seconds: Only attempts that were queued that long ago.
    """
    lost = and_(_WAITING, _ti.queued_at < now(-seconds), _ti.queue.not_in(served))
    # The keys are read first, so that the rows are locked by their keys.
    query = select(_ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index).where(lost)
    change = update(task_instance).where(key_match(_ti), lost).values(lease_expires_at=now(-1.0))

    def work(connection: Connection, _: bool) -> int:
        names = ("k_dag", "k_run", "k_task", "k_map")
        keys = [dict(zip(names, row, strict=True)) for row in connection.execute(query)]
        return sum(connection.execute(change, key).rowcount for key in keys)

    return database.write(work)
