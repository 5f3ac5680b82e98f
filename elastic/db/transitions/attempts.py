"""Attempt transitions. Each update is a compare-and-set on the attempt uuid, so a stale process cannot change a row."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Integer, String, and_, bindparam, case, delete, func, insert, select, update

from elastic.core.errors import UsageError
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match
from elastic.db.records import AttemptResult, Claim
from elastic.db.schema import task_attempt, task_instance, task_trigger, xcom
from elastic.db.schema.types import Digest, Label, Prose, Word
from elastic.db.sql_clock import Seconds, now
from elastic.db.transitions import outbox, waits

_ti, _attempt = task_instance.c, task_attempt.c

_UUID = bindparam("p_uuid", type_=Digest)
_HOST = bindparam("p_host", type_=Label)
_PID = bindparam("p_pid", type_=Integer())

_CLAIM = (
    update(task_instance)
    .where(key_match(_ti), _ti.attempt_uuid == _UUID, _ti.state == TaskState.QUEUED)
    .values(
        state=TaskState.RUNNING,
        version=_ti.version + 1,
        # An attempt that continues keeps the start of its first process.
        started_at=func.coalesce(_ti.started_at, now()),
        lease_owner=bindparam("p_owner", type_=String(64)),
        lease_expires_at=now(bindparam("p_lease")),
        host=_HOST,
        pid=_PID,
    )
)
_CLAIMED = (
    update(task_attempt)
    .where(_attempt.attempt_uuid == _UUID)
    .values(state=TaskState.RUNNING, started_at=func.coalesce(_attempt.started_at, now()), host=_HOST, pid=_PID)
)
_HELD = select(_ti.state, _ti.host, _ti.pid, _ti.lease_owner).where(key_match(_ti), _ti.attempt_uuid == _UUID)

_KEY = select(_attempt.dag_id, _attempt.run_id, _attempt.task_id, _attempt.map_index).where(
    _attempt.attempt_uuid == _UUID
)
_CURRENT = (
    select(*_KEY.selected_columns, _attempt.started_at, task_trigger.c.attempt_uuid.label("wait"))
    .join_from(task_attempt, task_trigger, task_trigger.c.attempt_uuid == _attempt.attempt_uuid, isouter=True)
    .where(_attempt.attempt_uuid == _UUID)
)
_STATE = bindparam("p_state", type_=Word)
_FLOW = bindparam("p_flow", type_=String(250))
_NOTE = bindparam("p_note", type_=Prose)

_FINISH = (
    update(task_instance)
    .where(key_match(_ti), _ti.attempt_uuid == _UUID, _ti.state == bindparam("p_expected", type_=Word))
    .values(
        state=_STATE,
        version=_ti.version + 1,
        ended_at=now(),
        duration=Seconds(_ti.started_at, now()),
        lease_owner=None,
        lease_expires_at=None,
        next_retry_at=case((_STATE == TaskState.UP_FOR_RETRY, now(bindparam("p_retry"))), else_=None),
        flow_run_id=func.coalesce(_FLOW, _ti.flow_run_id),
        note=func.coalesce(_NOTE, _ti.note),
    )
)
_FINISHED = (
    update(task_attempt)
    .where(_attempt.attempt_uuid == _UUID)
    .values(
        state=bindparam("p_attempt_state", type_=Word),
        ended_at=now(),
        duration=Seconds(_attempt.started_at, now()),
        exit_code=bindparam("p_exit", type_=Integer()),
        error=bindparam("p_error", type_=Prose),
        # Callbacks that a process has begun to call are not called again.
        callback=func.coalesce(_attempt.callback, bindparam("p_callback", type_=Word)),
        flow_run_id=func.coalesce(_FLOW, _attempt.flow_run_id),
    )
)
#: Value of `callback` after a process has taken the callbacks.
_TAKEN = "taken"
#: The attempt's own process may take its callbacks while the attempt runs, any other process once they are due.
_MAY_TAKE = {
    True: and_(_attempt.callback.is_(None), _attempt.state == TaskState.RUNNING),
    False: and_(_attempt.callback.is_not(None), _attempt.callback != _TAKEN),
}

_ENDED = (TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UP_FOR_RETRY)
_WAITING = (TaskState.DEFERRED, TaskState.UP_FOR_RESCHEDULE)

_ACTIVE = (TaskState.QUEUED, TaskState.RUNNING)
_EXPIRED = (
    select(_ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index, _ti.state, _ti.attempt_uuid, _ti.try_number)
    .add_columns(_ti.max_tries, _ti.started_at)
    .where(_ti.state.in_(_ACTIVE), _ti.lease_expires_at < now())
)


def claim(database: Database, wanted: Claim) -> bool:
    """Set a queued attempt to running for the process that runs it, before any user code.

    Returns:
        False if the attempt is stale or another process claimed it. The caller must not run it then.
    """
    return database.write(lambda connection, again: claim_in(connection, wanted, again=again))


def claim_in(connection: Connection, wanted: Claim, *, again: bool = False) -> bool:
    """Run `claim` within a transaction."""
    bound = {**key_bind(wanted.key), "p_uuid": wanted.attempt_uuid, "p_host": wanted.host, "p_pid": wanted.pid}
    lease = {"p_owner": wanted.lease_owner, "p_lease": wanted.lease}
    if not connection.execute(_CLAIM, {**bound, **lease}).rowcount:
        return again and _is_claimed_by(connection, wanted)
    connection.execute(_CLAIMED, {name: bound[name] for name in ("p_uuid", "p_host", "p_pid")})
    if not wanted.continues:
        audit.note_instances(connection, TaskState.RUNNING, [wanted.key])
    return True


def claim_queued_in(connection: Connection, wanted: Sequence[Claim]) -> None:
    """Claim attempts that this transaction has just queued, so that no other process can have them."""
    bound = [
        {
            **key_bind(one.key),
            "p_uuid": one.attempt_uuid,
            "p_host": one.host,
            "p_pid": one.pid,
            "p_owner": one.lease_owner,
            "p_lease": one.lease,
        }
        for one in wanted
    ]
    connection.execute(_CLAIM, bound)
    connection.execute(_CLAIMED, [{name: one[name] for name in ("p_uuid", "p_host", "p_pid")} for one in bound])
    audit.note_instances(connection, TaskState.RUNNING, [one.key for one in wanted])


def finish(database: Database, result: AttemptResult) -> bool:
    """Record the result of an attempt; return False, without a change, if the attempt is stale."""
    return result.attempt_uuid in finish_many(database, [result])


def finish_many(database: Database, results: Sequence[AttemptResult]) -> frozenset[str]:
    """Record the results of attempts with their XComs in one transaction.

    Returns:
        The attempts whose results were accepted.

    Raises:
        UsageError: A state is not valid for a result.
    """
    if not results:
        return frozenset()
    return database.write(lambda connection, again: finish_in(connection, results, again=again))


def finish_in(connection: Connection, results: Sequence[AttemptResult], *, again: bool = False) -> frozenset[str]:
    """Run `finish_many` within a transaction."""
    for result in results:
        allowed = _ENDED if result.wait is None else _WAITING
        if result.state not in allowed:
            raise UsageError(f"attempt {result.attempt_uuid} cannot end as {result.state}; use {', '.join(allowed)}.")
    counted = (result.attempt_uuid for result in results if _finish(connection, result, again=again))
    return frozenset(counted)


def renew(database: Database, lease_owner: str, seconds: float, *, attempt_uuid: str | None = None) -> frozenset[str]:
    """Renew all leases of an owner, or that of one attempt, by the clock of the database.

    Returns:
        The attempts that the owner still holds. It must stop the processes of all others.
    """
    held = and_(_ti.state.in_(_ACTIVE), _ti.lease_owner == lease_owner)
    if attempt_uuid is not None:
        held = and_(held, _ti.attempt_uuid == attempt_uuid)

    def work(connection: Connection, _: bool) -> frozenset[str]:
        connection.execute(update(task_instance).where(held).values(lease_expires_at=now(seconds)))
        return frozenset(connection.execute(select(_ti.attempt_uuid).where(held)).scalars())

    return database.write(work)


def release_leases(database: Database, lease_owner: str, *, attempt_uuid: str | None = None) -> None:
    """Give up all leases of an owner, or that of one attempt, so that `expire` expires the attempts at once.

    The leases have no owner afterwards, so that a renewal which is under way does not bring them back.
    """
    held = and_(_ti.state.in_(_ACTIVE), _ti.lease_owner == lease_owner)
    if attempt_uuid is not None:
        held = and_(held, _ti.attempt_uuid == attempt_uuid)
    change = update(task_instance).where(held).values(lease_owner=None, lease_expires_at=now(-1.0))
    database.write(lambda connection, _: connection.execute(change))


def expire(
    database: Database, *, dag_id: str | None = None, retry_in: float = 0.0, gives_up: bool = True
) -> list[TaskKey]:
    """Expire the attempts whose leases were not renewed in time, by the clock of the database.

    A running instance becomes `up_for_retry`, or `failed` after its last try. A queued instance that no process claimed
    becomes `scheduled`, and the try does not count. Later claims and results of the old attempt have no effect.

    Args:
        database: The database.
        dag_id: Only attempts of this DAG.
        retry_in: Seconds until the next try.
        gives_up: False allows another try even after the last one, because a lost attempt is not a failed one.
    """

    def work(connection: Connection, _: bool) -> list[TaskKey]:
        query = _EXPIRED if dag_id is None else _EXPIRED.where(_ti.dag_id == dag_id)
        # The rows are read first, then each is updated only if it is unchanged.
        found = connection.execute(query).all()
        return [key for row in found if (key := _expire(connection, row, retry_in, gives_up=gives_up))]

    return database.write(work)


def take_callbacks(database: Database, attempt_uuid: str, *, is_own: bool) -> bool:
    """Take the callbacks of an attempt before calling them, so that at most one process calls them.

    Args:
        database: The database.
        attempt_uuid: The attempt.
        is_own: True in the process of the attempt, which takes them before the attempt ends. Any other process takes
            them when they are due.

    Returns:
        False if another process took them or the attempt is stale. The caller must not call them then.
    """
    change = update(task_attempt).where(_attempt.attempt_uuid == attempt_uuid, _MAY_TAKE[is_own])

    def work(connection: Connection, _: bool) -> bool:
        return connection.execute(change.values(callback=_TAKEN)).rowcount == 1

    return database.write(work)


def set_flow_run(database: Database, attempt_uuid: str, flow_run_id: str) -> bool:
    """Store the id of the data flow that an attempt runs, so that a retry resumes it; return False if it is stale."""
    instance = and_(_ti.attempt_uuid == attempt_uuid, _ti.state == TaskState.RUNNING)

    def work(connection: Connection, _: bool) -> bool:
        key = connection.execute(_KEY, {"p_uuid": attempt_uuid}).one_or_none()
        if key is None:
            return False
        change = update(task_instance).where(key_match(_ti), instance).values(flow_run_id=flow_run_id)
        done = connection.execute(change, key_bind(TaskKey(*key))).rowcount == 1
        if done:
            of_attempt = update(task_attempt).where(_attempt.attempt_uuid == attempt_uuid)
            connection.execute(of_attempt.values(flow_run_id=flow_run_id))
        return done

    return database.write(work)


def _is_claimed_by(connection: Connection, wanted: Claim) -> bool:
    row = connection.execute(_HELD, {**key_bind(wanted.key), "p_uuid": wanted.attempt_uuid}).one_or_none()
    return row is not None and tuple(row) == (TaskState.RUNNING, wanted.host, wanted.pid, wanted.lease_owner)


def _finish(connection: Connection, result: AttemptResult, *, again: bool) -> bool:
    row = connection.execute(_CURRENT, {"p_uuid": result.attempt_uuid}).one_or_none()
    if row is None:
        return False
    key = TaskKey(row.dag_id, row.run_id, row.task_id, row.map_index)
    if result.wait is not None:
        done = waits.suspend_in(connection, key, result, result.wait, row.started_at, is_new=row.wait is None)
        if done and result.xcoms:
            store_xcoms(connection, key, result.xcoms)
        return done or (again and _has_ended(connection, key, result))
    bound = {
        **key_bind(key),
        "p_uuid": result.attempt_uuid,
        "p_expected": result.expected,
        "p_state": result.state,
        "p_retry": result.retry_in or 0.0,
        "p_flow": result.flow_run_id,
        "p_note": result.note,
    }
    if not connection.execute(_FINISH, bound).rowcount:
        return again and _has_ended(connection, key, result)
    _close(connection, result)
    if row.wait is not None:
        waits.end_in(connection, [result.attempt_uuid])
    outbox.add_of_instance(connection, key, result.state, result.error, result.attempt_uuid)
    if result.xcoms:
        store_xcoms(connection, key, result.xcoms)
    audit.note_instances(connection, result.state, [key], result.error and result.error.strip().splitlines()[-1])
    return True


def _has_ended(connection: Connection, key: TaskKey, result: AttemptResult) -> bool:
    found = connection.execute(_HELD, {**key_bind(key), "p_uuid": result.attempt_uuid}).one_or_none()
    return found is not None and found.state == result.state


def _close(connection: Connection, result: AttemptResult) -> None:
    bound: dict[str, Any] = {
        "p_uuid": result.attempt_uuid,
        # An instance that is retried has a failed attempt.
        "p_attempt_state": TaskState.FAILED if result.state is TaskState.UP_FOR_RETRY else result.state,
        "p_exit": result.exit_code,
        "p_error": result.error,
        "p_callback": result.callback,
        "p_flow": result.flow_run_id,
    }
    connection.execute(_FINISHED, bound)


def store_xcoms(connection: Connection, key: TaskKey, values: Any) -> None:
    """Store XComs (JSON by key) of a task instance, replacing those with the same keys."""
    columns = {"dag_id": key.dag_id, "run_id": key.run_id, "task_id": key.task_id, "map_index": key.map_index}
    of_instance = and_(*(xcom.c[name] == value for name, value in columns.items()))
    connection.execute(delete(xcom).where(of_instance, xcom.c.key.in_(list(values))))
    rows = [{**columns, "key": name, "value": value} for name, value in values.items()]
    connection.execute(insert(xcom).values(at=now()), rows)


def _expire(connection: Connection, row: Any, retry_in: float, *, gives_up: bool) -> TaskKey | None:
    key = TaskKey(row.dag_id, row.run_id, row.task_id, row.map_index)
    was_queued = row.state == TaskState.QUEUED
    #: the attempt has had a process before, and waits for another one
    continues = was_queued and row.started_at is not None
    is_unchanged = and_(key_match(_ti), _ti.attempt_uuid == row.attempt_uuid, _ti.state == row.state)
    values: dict[str, Any] = {"version": _ti.version + 1, "lease_owner": None, "lease_expires_at": None}
    if continues:
        state = TaskState.UP_FOR_RESCHEDULE
        values |= {"next_retry_at": now(0.0)}
    elif was_queued:
        state = TaskState.SCHEDULED
        values |= {"try_number": _ti.try_number - 1, "attempt_uuid": None, "queued_at": None}
    else:
        may_retry = row.try_number < row.max_tries or not gives_up
        state = TaskState.UP_FOR_RETRY if may_retry else TaskState.FAILED
        values |= {"ended_at": now(), "duration": Seconds(_ti.started_at, now())}
        values |= {"next_retry_at": now(retry_in)} if state is TaskState.UP_FOR_RETRY else {}
    change = update(task_instance).where(is_unchanged, _ti.lease_expires_at < now())
    why = "no process claimed it in time" if was_queued else "its lease expired: the process or its host is gone"
    if not connection.execute(change.values(state=state, **values), key_bind(key)).rowcount:
        return None
    if continues:
        return key
    waits.end_in(connection, [row.attempt_uuid])
    callback = None if was_queued else state
    _close(
        connection, AttemptResult(attempt_uuid=row.attempt_uuid, state=TaskState.FAILED, error=why, callback=callback)
    )
    if not was_queued:
        outbox.add_of_instance(connection, key, state, why, row.attempt_uuid)
    audit.note_instances(connection, "expired", [key], why)
    return key
