"""Mark a whole run as success or failed: the run and its task instances, in one transaction."""

from collections.abc import Collection
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, update

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.records import TaskInstanceRow, instance_of
from elastic.db.schema import dag_run, task_attempt, task_instance
from elastic.db.sql_clock import Seconds, now
from elastic.db.transitions import waits
from elastic.db.transitions.runs import change_state

_ti, _attempt, _run = task_instance.c, task_attempt.c, dag_run.c

_KEY = (_ti.task_id, _ti.map_index)
_UNFINISHED = tuple(state for state in TaskState if not state.is_final)

#: States of task instances that a mark changes, by the state that the run gets. None is one of them.
MARKED: Final = MappingProxyType(
    {
        RunState.SUCCESS: (*_UNFINISHED, TaskState.FAILED, TaskState.UPSTREAM_FAILED),
        RunState.FAILED: _UNFINISHED,
    }
)

#: States in which the current attempt has not ended.
_OPEN = tuple(state for state in TaskState if state.has_open_attempt)

#: Attempts that one statement ends.
_BATCH_SIZE = 500


def instances_to_mark(
    database: Database, dag_id: str, run_id: str, state: RunState, *, limit: int
) -> tuple[list[TaskInstanceRow], int, int]:
    """Return the first task instances that a mark would change, how many it would change, and how many are active.

    Args:
        database: The database.
        dag_id: The DAG.
        run_id: The run.
        state: The state that the run would get.
        limit: Maximum number of returned instances.
    """
    wanted = _wanted(dag_id, run_id, state)
    is_active = _ti.state.in_((TaskState.QUEUED, TaskState.RUNNING))

    def work(connection: Connection) -> tuple[list[TaskInstanceRow], int, int]:
        count = connection.execute(_count(wanted)).scalar_one()
        active = connection.execute(_count(and_(wanted, is_active))).scalar_one()
        query = select(task_instance).where(wanted).order_by(*_KEY).limit(limit)
        return [instance_of(row) for row in connection.execute(query)], count, active

    return database.query(work)


def mark_run(database: Database, dag_id: str, run_id: str, state: RunState, *, note: str) -> tuple[bool, list[TaskKey]]:
    """Set a run to success or failed, and the task instances of it that are not there yet.

    Success takes over failed and unfinished instances; failed only unfinished ones. Skipped and removed instances keep
    their states. Attempts that run are ended: later updates by their processes have no effect. No master decides about
    the run afterwards, and callbacks are not called.

    Args:
        database: The database.
        dag_id: The DAG.
        run_id: The run.
        state: Success or failed.
        note: Why, for the instances and the audit log.

    Returns:
        Whether the run had another state, and the changed instances.
    """

    def work(connection: Connection, _: bool) -> tuple[bool, list[TaskKey]]:
        # The run is changed first, because all code locks runs before their instances.
        others = [one for one in RunState if one is not state]
        is_new = change_state(connection, dag_id, run_id, state, others)
        query = select(*_KEY, _ti.state, _ti.attempt_uuid).where(_wanted(dag_id, run_id, state)).order_by(*_KEY)
        rows = connection.execute(query.with_for_update()).all()
        if rows:
            _set(connection, _wanted(dag_id, run_id, state), TaskState(state.value), note)
            _end_attempts(
                connection, [row.attempt_uuid for row in rows if row.attempt_uuid and row.state in _OPEN], note
            )
        keys = [TaskKey(dag_id, run_id, row.task_id, row.map_index) for row in rows]
        audit.note_instances(connection, f"marked {state}", keys, note)
        return is_new, keys

    return database.write(work)


def _wanted(dag_id: str, run_id: str, state: RunState) -> ColumnElement[bool]:
    has_state = or_(_ti.state.is_(None), _ti.state.in_(MARKED[state]))
    return and_(_ti.dag_id == dag_id, _ti.run_id == run_id, has_state)


def _count(wanted: ColumnElement[bool]) -> Select[Any]:
    return select(func.count()).select_from(task_instance).where(wanted)


def _set(connection: Connection, wanted: ColumnElement[bool], state: TaskState, note: str) -> None:
    values: dict[str, Any] = {
        "state": state,
        "version": _ti.version + 1,
        "ended_at": now(),
        "duration": Seconds(_ti.started_at, now()),
        "lease_owner": None,
        "lease_expires_at": None,
        "next_retry_at": None,
        "note": note,
    }
    connection.execute(update(task_instance).where(wanted).values(**values))


def _end_attempts(connection: Connection, attempts: Collection[str], why: str) -> None:
    ordered = sorted(attempts)
    ended = {"ended_at": now(), "duration": Seconds(_attempt.started_at, now())}
    for at in range(0, len(ordered), _BATCH_SIZE):
        change = update(task_attempt).where(_attempt.attempt_uuid.in_(ordered[at : at + _BATCH_SIZE]))
        connection.execute(change.values(state=TaskState.FAILED, error=why, **ended))
        waits.end_in(connection, ordered[at : at + _BATCH_SIZE])
