"""Task instances on their way to an executor: each under the attempt that is to count, within pools and limits."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Integer, String, bindparam, func, insert, literal, or_, select, update

from elastic.dag.states.state import TaskState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.matching import key_bind, key_match
from elastic.db.records import QueueRequest
from elastic.db.schema import dag_run, pool, task_attempt, task_instance
from elastic.db.schema.jobs import DEFAULT_POOL
from elastic.db.schema.types import Digest, Key, LongText, Serial
from elastic.db.sql_clock import now

_ti = task_instance.c

_MAY_BE_QUEUED = (TaskState.SCHEDULED, TaskState.UP_FOR_RETRY)

_QUEUE = (
    update(task_instance)
    .where(
        key_match(_ti),
        or_(_ti.state.is_(None), _ti.state.in_(_MAY_BE_QUEUED)),
        or_(bindparam("p_version", type_=Integer()) < 0, _ti.version == bindparam("p_version", type_=Integer())),
    )
    .values(
        state=TaskState.QUEUED,
        try_number=_ti.try_number + 1,
        version=_ti.version + 1,
        attempt_uuid=bindparam("p_uuid", type_=Digest),
        lease_owner=bindparam("p_owner", type_=String(64)),
        lease_expires_at=now(bindparam("p_lease")),
        queued_at=now(),
        started_at=None,
        ended_at=None,
        duration=None,
        next_retry_at=None,
        host=None,
        pid=None,
        job_id=bindparam("p_job", type_=Serial),
        pool=bindparam("p_pool", type_=Key),
        pool_slots=bindparam("p_slots", type_=Integer()),
    )
)

_ATTEMPT = insert(task_attempt).from_select(
    [
        "attempt_uuid",
        "dag_id",
        "run_id",
        "task_id",
        "map_index",
        "run_attempt",
        "try_number",
        "state",
        "queued_at",
        "job_id",
        "log_path",
        "is_cleared",
    ],
    select(
        _ti.attempt_uuid,
        _ti.dag_id,
        _ti.run_id,
        _ti.task_id,
        _ti.map_index,
        dag_run.c.attempt,
        _ti.try_number,
        _ti.state,
        _ti.queued_at,
        _ti.job_id,
        bindparam("p_path", type_=LongText),
        literal(False),
    )
    .join_from(task_instance, dag_run, (_ti.dag_id == dag_run.c.dag_id) & (_ti.run_id == dag_run.c.run_id))
    .where(key_match(_ti)),
)

_POOLS = (
    select(pool.c.pool, pool.c.slots)
    .where(pool.c.pool.in_(bindparam("p_pools", expanding=True)))
    .order_by(pool.c.pool)
    .with_for_update()
)

_MINE = select(_ti.attempt_uuid).where(key_match(_ti))

_ACTIVE = (
    select(_ti.pool, _ti.dag_id, func.sum(_ti.pool_slots).label("slots"), func.count().label("instances"))
    .where(_ti.state.in_((TaskState.QUEUED, TaskState.RUNNING)))
    .group_by(_ti.pool, _ti.dag_id)
)


def queue(database: Database, ticket: QueueRequest) -> bool:
    """Queue one task instance; say whether it was done."""
    return ticket.attempt_uuid in queue_many(database, [ticket])


def queue_many(database: Database, tickets: Sequence[QueueRequest]) -> frozenset[str]:
    """Queue task instances, in their order, as long as their pools and DAGs have room: in one transaction.

    Left out are those that somebody else queued, that ended meanwhile, or for which there is no room.

    Returns:
        The attempts that count now. Nothing may be started for the others.

    Raises:
        UnknownRowError: A pool isn't defined.
    """
    if not tickets:
        return frozenset()
    return database.write(lambda connection, again: queue_in(connection, tickets, again=again))


def queue_in(connection: Connection, tickets: Sequence[QueueRequest], *, again: bool = False) -> frozenset[str]:
    """Do what `queue_many` does, within a transaction."""
    room = _Room(connection, tickets)
    queued = []
    mine = set()
    for ticket in tickets:
        bound = key_bind(ticket.key)
        if again and connection.execute(_MINE, bound).scalar() == ticket.attempt_uuid:
            mine.add(ticket.attempt_uuid)  # an earlier try of this transaction was committed after all
        elif room.is_enough_for(ticket) and connection.execute(_QUEUE, {**bound, **_values(ticket)}).rowcount:
            room.take(ticket)
            queued.append(ticket)
    if queued:
        rows = [{**key_bind(ticket.key), "p_path": ticket.log_path} for ticket in queued]
        connection.execute(_ATTEMPT, rows if len(rows) > 1 else rows[0])
        audit.note_instances(connection, TaskState.QUEUED, [ticket.key for ticket in queued])
    return frozenset(mine.union(ticket.attempt_uuid for ticket in queued))


def _values(ticket: QueueRequest) -> dict[str, Any]:
    return {
        "p_version": -1 if ticket.version is None else ticket.version,
        "p_uuid": ticket.attempt_uuid,
        "p_owner": ticket.lease_owner,
        "p_lease": ticket.lease,
        "p_job": ticket.job_id,
        "p_pool": ticket.pool,
        "p_slots": ticket.pool_slots,
    }


class _Room:
    """What pools and DAGs have left, counted while nobody else can queue."""

    def __init__(self, connection: Connection, tickets: Sequence[QueueRequest]) -> None:
        wanted = {ticket.pool for ticket in tickets}
        # The default pool is locked by all who queue, so that the limits of DAGs hold over several pools as well.
        found = connection.execute(_POOLS, {"p_pools": sorted({DEFAULT_POOL, *wanted})})
        self._slots = {row.pool: row.slots for row in found}
        for name in sorted(wanted - self._slots.keys()):
            raise UnknownRowError("pool", name, f"add it with `elastic pools set {name} SLOTS`")
        self._used: Counter[str] = Counter()
        self._active: Counter[str] = Counter()
        if any(ticket.concurrency for ticket in tickets) or any(self._slots[name] >= 0 for name in wanted):
            for row in connection.execute(_ACTIVE):
                self._used[row.pool] += int(row.slots)
                self._active[row.dag_id] += row.instances

    def is_enough_for(self, ticket: QueueRequest) -> bool:
        slots = self._slots[ticket.pool]
        if slots >= 0 and self._used[ticket.pool] + ticket.pool_slots > slots:
            return False
        return not ticket.concurrency or self._active[ticket.key.dag_id] < ticket.concurrency

    def take(self, ticket: QueueRequest) -> None:
        self._used[ticket.pool] += ticket.pool_slots
        self._active[ticket.key.dag_id] += 1
