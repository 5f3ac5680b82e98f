"""Queueing of task instances under new attempts, within the limits of pools and DAGs."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    String,
    and_,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

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

_UUID = bindparam("p_uuid", type_=Digest)
#: 1 to continue the attempt of an instance that is up for reschedule, else 0. The state itself cannot tell it, because
#: MariaDB evaluates the assignments of an UPDATE one after another.
_CONTINUES = bindparam("p_continues", type_=Integer())

_QUEUE = (
    update(task_instance)
    .where(
        key_match(_ti),
        or_(
            # Not `in_`, which many sets of parameters do not allow.
            and_(_CONTINUES == 0, or_(_ti.state.is_(None), *(_ti.state == one for one in _MAY_BE_QUEUED))),
            and_(_CONTINUES == 1, _ti.state == TaskState.UP_FOR_RESCHEDULE, _ti.attempt_uuid == _UUID),
        ),
        or_(bindparam("p_version", type_=Integer()) < 0, _ti.version == bindparam("p_version", type_=Integer())),
    )
    .values(
        state=TaskState.QUEUED,
        try_number=_ti.try_number + 1 - _CONTINUES,
        version=_ti.version + 1,
        attempt_uuid=_UUID,
        lease_owner=bindparam("p_owner", type_=String(64)),
        lease_expires_at=now(bindparam("p_lease")),
        queued_at=now(),
        started_at=case((_CONTINUES == 1, _ti.started_at), else_=None),
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

_QUEUE_MANY = _QUEUE.execution_options(preserve_rowcount=True)

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

_CONTINUED = (
    update(task_attempt)
    .where(task_attempt.c.attempt_uuid == _UUID)
    .values(state=TaskState.QUEUED, job_id=bindparam("p_job", type_=Serial))
)

_SLOTS = (
    select(pool.c.pool, pool.c.slots).where(pool.c.pool.in_(bindparam("p_pools", expanding=True))).order_by(pool.c.pool)
)
_POOLS = _SLOTS.with_for_update()

_KNOWN = select(task_attempt.c.attempt_uuid).where(
    task_attempt.c.attempt_uuid.in_(bindparam("p_uuids", expanding=True))
)

_CURRENT = select(_ti.attempt_uuid, _ti.state).where(key_match(_ti))

_ACTIVE = (
    select(_ti.pool, _ti.dag_id, func.sum(_ti.pool_slots).label("slots"), func.count().label("instances"))
    .where(_ti.state.in_((TaskState.QUEUED, TaskState.RUNNING)))
    .group_by(_ti.pool, _ti.dag_id)
)


def queue(database: Database, request: QueueRequest) -> bool:
    """Queue one task instance; return whether it was queued."""
    return request.attempt_uuid in queue_many(database, [request])


def queue_many(database: Database, requests: Sequence[QueueRequest]) -> frozenset[str]:
    """Queue task instances in their order, within the limits of their pools and DAGs, in one transaction.

    Instances are left out if another process queued them, if they have finished, or if no slots are free.

    Returns:
        The attempts that were queued. The caller must not start the others.

    Raises:
        UnknownRowError: A pool isn't defined.
    """
    if not requests:
        return frozenset()

    def work(connection: Connection, again: bool) -> frozenset[str]:
        wanted = {request.pool for request in requests}
        found = connection.execute(_POOLS, {"p_pools": sorted({DEFAULT_POOL, *wanted})})
        for name in sorted(wanted.difference(row.pool for row in found)):
            raise UnknownRowError("pool", name, f"add it with `elastic pools set {name} SLOTS`")
        return queue_in(connection, requests, again=again)

    return database.write(work)


def queue_in(
    connection: Connection,
    requests: Sequence[QueueRequest],
    *,
    again: bool = False,
    slots: Mapping[str, int] | None = None,
) -> frozenset[str]:
    """Run `queue_many` within a transaction; a pool that isn't defined has no room.

    Args:
        connection: The transaction.
        requests: The instances, in their order.
        again: Whether an earlier try of the transaction may have been committed.
        slots: Result of `lock_slots`, if the transaction has changed instances before.
    """
    # An earlier try of this transaction may have been committed.
    already_queued = _queued_before(connection, requests) if again else frozenset[str]()
    left = [request for request in requests if request.attempt_uuid not in already_queued]
    slots = lock_slots(connection, requests) if slots is None else slots
    free_slots, queued = _FreeSlots(connection, requests, slots), list[QueueRequest]()
    while left:
        chosen, refused = free_slots.choose(left)
        found = _queue_all(connection, chosen)
        queued += [request for request in chosen if request.attempt_uuid in found]
        missed = [request for request in chosen if request.attempt_uuid not in found]
        for request in missed:
            free_slots.give_back(request)
        left = refused if missed else []
    new = [request for request in queued if not request.continues]
    if new:
        rows = [{**key_bind(request.key), "p_path": request.log_path} for request in new]
        connection.execute(_ATTEMPT, rows if len(rows) > 1 else rows[0])
        audit.note_instances(connection, TaskState.QUEUED, [request.key for request in new])
    for request in queued:
        if request.continues:
            connection.execute(_CONTINUED, {"p_uuid": request.attempt_uuid, "p_job": request.job_id})
    return frozenset(already_queued.union(request.attempt_uuid for request in queued))


def _is_queued(row: Any, request: QueueRequest) -> bool:
    """Return whether an earlier try of the transaction has queued an attempt."""
    if row is None or row.attempt_uuid != request.attempt_uuid:
        return False
    return not request.continues or row.state in (TaskState.QUEUED, TaskState.RUNNING)


def _queued_before(connection: Connection, requests: Sequence[QueueRequest]) -> frozenset[str]:
    """Return the attempts that their instances hold, queued or running."""
    rows = ((one, connection.execute(_CURRENT, key_bind(one.key)).one_or_none()) for one in requests)
    return frozenset(request.attempt_uuid for request, row in rows if _is_queued(row, request))


def _queue_all(connection: Connection, requests: Sequence[QueueRequest]) -> frozenset[str]:
    """Queue instances whose state and version allow it; return the attempts that were queued."""
    found = set()
    for one in requests:
        if one.continues and connection.execute(_QUEUE, {**key_bind(one.key), **_values(one)}).rowcount:
            found.add(one.attempt_uuid)
    new = [one for one in requests if not one.continues]
    if not new:
        return frozenset(found)
    rows = [{**key_bind(one.key), **_values(one)} for one in new]
    if connection.execute(_QUEUE_MANY, rows).rowcount == len(rows):
        return frozenset(found).union(one.attempt_uuid for one in new)
    # The attempts of this statement have no rows of their own yet.
    held = _queued_before(connection, new)
    return held.difference(connection.execute(_KNOWN, {"p_uuids": sorted(held)}).scalars()).union(found)


def _values(request: QueueRequest) -> dict[str, Any]:
    return {
        "p_version": -1 if request.version is None else request.version,
        "p_uuid": request.attempt_uuid,
        "p_continues": int(request.continues),
        "p_owner": request.lease_owner,
        "p_lease": request.lease,
        "p_job": request.job_id,
        "p_pool": request.pool,
        "p_slots": request.pool_slots,
    }


def lock_slots(connection: Connection, requests: Sequence[QueueRequest]) -> Mapping[str, int]:
    """Return the slots of the pools of requests, and lock the pools if any of them limits a request.

    A transaction that also changes instances calls this first, because all code locks pools before instances.
    """
    names = sorted({request.pool for request in requests})
    slots = _slots(connection, _SLOTS, names)
    # Every transaction with a limit locks the default pool, so that the limits of DAGs hold across pools.
    limits = _limits(requests, slots)
    return slots | _slots(connection, _POOLS, limits) if limits else slots


def _limits(requests: Sequence[QueueRequest], slots: Mapping[str, int]) -> list[str]:
    """Return the pools whose locks guard the limits of requests; none if nothing limits them."""
    limited = {request.pool for request in requests if slots.get(request.pool, -1) >= 0}
    is_dag_limited = any(request.concurrency for request in requests)
    return sorted({DEFAULT_POOL, *limited}) if limited or is_dag_limited else []


class _FreeSlots:
    """Free slots of pools and DAGs, counted while no other process can queue."""

    def __init__(self, connection: Connection, requests: Sequence[QueueRequest], slots: Mapping[str, int]) -> None:
        self._slots = slots
        self._used: Counter[str] = Counter()
        self._active: Counter[str] = Counter()
        if _limits(requests, slots):
            for row in connection.execute(_ACTIVE):
                self._used[row.pool] += int(row.slots)
                self._active[row.dag_id] += row.instances

    def choose(self, requests: Sequence[QueueRequest]) -> tuple[list[QueueRequest], list[QueueRequest]]:
        """Return the requests that get slots, in their order, and the others."""
        chosen, refused = list[QueueRequest](), list[QueueRequest]()
        for request in requests:
            if self.has_room_for(request):
                self.take(request)
                chosen.append(request)
            else:
                refused.append(request)
        return chosen, refused

    def has_room_for(self, request: QueueRequest) -> bool:
        slots = self._slots.get(request.pool)
        if slots is None:
            return False  # the pool was deleted
        if slots >= 0 and self._used[request.pool] + request.pool_slots > slots:
            return False
        return not request.concurrency or self._active[request.key.dag_id] < request.concurrency

    def take(self, request: QueueRequest) -> None:
        self._used[request.pool] += request.pool_slots
        self._active[request.key.dag_id] += 1

    def give_back(self, request: QueueRequest) -> None:
        """Give back the slots of a request whose instance was not queued."""
        self._used[request.pool] -= request.pool_slots
        self._active[request.key.dag_id] -= 1


def _slots(connection: Connection, query: Select[tuple[str, int]], names: Sequence[str]) -> dict[str, int]:
    return {row.pool: row.slots for row in connection.execute(query, {"p_pools": names})}
