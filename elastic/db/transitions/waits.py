"""Transitions of waits: attempts that go on without a process, and the checks of triggerers."""

import hashlib
import json
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Float, Integer, bindparam, delete, func, insert, select, update

from elastic.dag.execution.wait import WaitRequest
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.matching import key_bind, key_match
from elastic.db.records import AttemptResult
from elastic.db.schema import task_attempt, task_instance, task_trigger
from elastic.db.schema.types import Digest, LongText, Word
from elastic.db.sql_clock import now

_ti, _attempt, _wait = task_instance.c, task_attempt.c, task_trigger.c

#: Attempts that one statement names.
_BATCH_SIZE = 500

_UUID = bindparam("p_uuid", type_=Digest)
_STATE = bindparam("p_state", type_=Word)

_SLICES = select(_wait.slices).where(_wait.attempt_uuid == _UUID).scalar_subquery()
_SUSPEND = (
    update(task_instance)
    .where(
        key_match(_ti),
        _ti.attempt_uuid == _UUID,
        _ti.state == TaskState.RUNNING,
        # A process of an earlier slice may report again what it has reported already.
        func.coalesce(_SLICES, 0) == bindparam("p_slice", type_=Integer()),
    )
    .values(
        state=_STATE,
        version=_ti.version + 1,
        lease_owner=None,
        lease_expires_at=None,
        next_retry_at=now(bindparam("p_check_in", type_=Float())),
        host=None,
        pid=None,
    )
)
_SUSPENDED = update(task_attempt).where(_attempt.attempt_uuid == _UUID).values(state=_STATE)

_DELETE = delete(task_trigger).where(_wait.attempt_uuid == _UUID)
_RESUME = (
    update(task_instance)
    .where(_ti.attempt_uuid == _UUID, key_match(_ti), _ti.state == TaskState.DEFERRED)
    .values(state=TaskState.UP_FOR_RESCHEDULE, version=_ti.version + 1, next_retry_at=now(0.0))
)
_ANSWER = (
    update(task_trigger)
    .where(_wait.attempt_uuid == _UUID)
    .values(
        answer=bindparam("p_answer", type_=LongText),
        next_check_at=None,
        last_checked_at=now(),
        lease_owner=None,
        lease_expires_at=None,
    )
)


def suspend_in(
    connection: Connection,
    key: TaskKey,
    result: AttemptResult,
    request: WaitRequest,
    started_at: datetime | None,
    *,
    is_new: bool,
) -> bool:
    """Let a running attempt wait without a process, within a transaction; return False if the attempt is stale.

    The start and the deadline of the wait are set by the first process of the attempt only.
    """
    uuid = result.attempt_uuid
    bound = {**key_bind(key), "p_uuid": uuid, "p_state": result.state}
    change = {**bound, "p_slice": request.slice, "p_check_in": request.check_in}
    if not connection.execute(_SUSPEND, change).rowcount:
        return False
    connection.execute(_SUSPENDED, {"p_uuid": uuid, "p_state": result.state})
    arguments = json.dumps(dict(request.arguments), sort_keys=True)
    values: dict[str, Any] = {
        "kind": request.kind,
        "arguments": arguments,
        "question": hashlib.blake2b(f"{request.kind}\n{arguments}".encode(), digest_size=16).hexdigest(),
        "connection": request.connection or request.kind,
        "settings": request.settings.as_json(),
        "next_check_at": now(request.check_in) if result.state is TaskState.DEFERRED else None,
        "last_checked_at": now(),
        "checks": request.progress.checks,
        "errors": request.progress.errors,
        "reason": request.progress.reason,
        "slices": request.slice + 1,
        "answer": None,
    }
    if not is_new:
        connection.execute(update(task_trigger).where(_wait.attempt_uuid == uuid).values(**values))
        return True
    began = started_at or connection.execute(select(now())).scalar_one()
    timeout = request.settings.timeout
    connection.execute(
        insert(task_trigger).values(
            attempt_uuid=uuid,
            dag_id=key.dag_id,
            run_id=key.run_id,
            task_id=key.task_id,
            map_index=key.map_index,
            started_at=began,
            deadline=None if timeout is None else began + timedelta(seconds=timeout),
            **values,
        )
    )
    audit.note_instances(connection, result.state, [key], request.progress.reason or None)
    return True


def end_in(connection: Connection, attempt_uuids: Collection[str]) -> None:
    """Delete the waits of attempts that end, within a transaction."""
    if attempt_uuids:
        connection.execute(_DELETE, [{"p_uuid": one} for one in attempt_uuids])


def resume_waits(database: Database, dag_id: str, run_ids: Sequence[str]) -> int:
    """Let the deferred attempts of runs check by themselves, because no triggerer does; return their number."""
    waiting = select(_ti.attempt_uuid, _ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index).where(
        _ti.dag_id == dag_id, _ti.state == TaskState.DEFERRED
    )

    def work(connection: Connection, _: bool) -> int:
        count = 0
        for row in connection.execute(waiting).all():
            if row.run_id in run_ids:
                key = TaskKey(row.dag_id, row.run_id, row.task_id, row.map_index)
                count += resume_in(connection, key, row.attempt_uuid, None)
        return count

    return database.write(work)


def resume_in(connection: Connection, key: TaskKey, uuid: str, answer: str | None) -> int:
    """Let a deferred attempt go on in a process, within a transaction; return 1, or 0 if the attempt is stale.

    Args:
        connection: The transaction.
        key: The task instance.
        uuid: The attempt.
        answer: Why the condition holds, as JSON; None if the process checks it.
    """
    if not connection.execute(_RESUME, {**key_bind(key), "p_uuid": uuid}).rowcount:
        return 0
    connection.execute(_SUSPENDED, {"p_uuid": uuid, "p_state": TaskState.UP_FOR_RESCHEDULE})
    connection.execute(_ANSWER, {"p_uuid": uuid, "p_answer": answer})
    return 1
