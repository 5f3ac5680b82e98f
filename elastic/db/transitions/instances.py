"""Task instance transitions: insert, resolve without a run, clear, and mark as successful."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Integer, and_, bindparam, delete, or_, select, update

from elastic.dag.ids import TaskKey, check_key
from elastic.dag.states.state import TaskState
from elastic.db import audit, queries
from elastic.db.database import Database
from elastic.db.matching import insert_if_absent, key_bind, key_match
from elastic.db.records import DagRun, RunMode, TaskInstanceRow, instance_of
from elastic.db.schema import task_attempt, task_instance, xcom
from elastic.db.sql_clock import Seconds, now
from elastic.db.transitions import waits
from elastic.db.transitions.runs import add_claim, reopen, rerun_in

_ti, _attempt = task_instance.c, task_attempt.c

_READ = select(task_instance).where(key_match(_ti))
_ACTIVE = (TaskState.QUEUED, TaskState.RUNNING)
#: States in which the current attempt has not ended.
_OPEN = tuple(state for state in TaskState if state.has_open_attempt)

#: Columns that `clear` resets to NULL.
_CLEARED_COLUMNS: dict[str, Any] = dict.fromkeys(
    [
        "attempt_uuid",
        "lease_owner",
        "lease_expires_at",
        "queued_at",
        "started_at",
        "ended_at",
        "duration",
        "next_retry_at",
        "host",
        "pid",
        "job_id",
        "flow_run_id",
        "note",
    ]
)

#: Instances that one transaction clears: about 0.6 s of CPU.
_PIECE_SIZE = 1000

_CLEAR = (
    update(task_instance)
    .where(key_match(_ti), _ti.version == bindparam("p_version", type_=Integer()))
    .values(state=None, try_number=0, version=_ti.version + 1, **_CLEARED_COLUMNS)
)
_CLEAR_ATTEMPTS = update(task_attempt).where(key_match(_attempt)).values(is_cleared=True)
_DELETE_XCOMS = delete(xcom).where(key_match(xcom.c))
_MARK = (
    update(task_instance)
    .where(key_match(_ti), or_(_ti.state.is_(None), _ti.state.not_in((*_ACTIVE, TaskState.SUCCESS))))
    .values(state=TaskState.SUCCESS, version=_ti.version + 1, started_at=now(), ended_at=now(), duration=0.0)
)


def ensure_instances(database: Database, instances: Sequence[TaskInstanceRow]) -> None:
    """Insert the task instances that are missing; existing rows stay unchanged."""
    for instance in instances:
        check_key("task_id", instance.task_id)
    if instances:
        database.write(lambda connection, _: ensure_in(connection, instances))


def ensure_in(connection: Connection, instances: Sequence[TaskInstanceRow]) -> None:
    """Run `ensure_instances` within a transaction."""
    rows = [
        {
            "dag_id": instance.dag_id,
            "run_id": instance.run_id,
            "task_id": instance.task_id,
            "map_index": instance.map_index,
            "state": instance.state,
            "try_number": 0,
            "max_tries": instance.max_tries,
            "version": 1,
            "operator": instance.operator,
            "pool": instance.pool,
            "pool_slots": instance.pool_slots,
            "priority": instance.priority,
            "queue": instance.queue,
        }
        for instance in instances
    ]
    connection.execute(insert_if_absent(connection, task_instance), rows)


def set_state(
    database: Database,
    key: TaskKey,
    state: TaskState | None,
    *,
    expected: Collection[TaskState | None],
    note: str | None = None,
) -> bool:
    """Set the state of a task instance if it is in an expected state; return whether it was."""
    return bool(set_states(database, [key], state, expected=expected, note=note))


def set_states(
    database: Database,
    keys: Sequence[TaskKey],
    state: TaskState | None,
    *,
    expected: Collection[TaskState | None],
    note: str | None = None,
) -> list[TaskKey]:
    """Set the states of the task instances that are in an expected state, in one transaction.

    A queued or running attempt is ended, and later updates by its process have no effect.

    Returns:
        The instances that this call changed.
    """
    if not keys:
        return []

    def work(connection: Connection, again: bool) -> list[TaskKey]:
        return set_states_in(connection, keys, state, expected=expected, note=note, again=again)

    return database.write(work)


def set_states_in(
    connection: Connection,
    keys: Sequence[TaskKey],
    state: TaskState | None,
    *,
    expected: Collection[TaskState | None],
    note: str | None = None,
    again: bool = False,
) -> list[TaskKey]:
    """Run `set_states` within a transaction."""
    changed, mine = [], []
    for key in keys:
        before = _read(connection, key)
        if again and before is not None and before.state is state:
            mine.append(key)
        elif before is not None and before.state in expected and _change_state(connection, before, state, note):
            changed.append(key)
    audit.note_instances(connection, state or "none", changed, note)
    return changed + mine


def clear(database: Database, keys: Iterable[TaskKey]) -> list[TaskInstanceRow]:
    """Reset task instances so that they run again. Their attempts stay, marked as cleared; their XComs are deleted.

    A finished run is queued again. An attempt that is running is fenced: its result has no effect.

    Each transaction clears about 1,000 instances, of whole runs if possible. A larger run that has ended is queued
    again with its last instances, so that no task runs before those upstream of it are cleared. A larger run that is
    active is cleared in one transaction. A clear that was interrupted can be repeated.

    Returns:
        The instances that had a state, with their values before the change.
    """
    found: list[TaskInstanceRow] = []
    for piece in _pieces(database, keys):
        found += _clear_piece(database, piece)
    return found


@dataclass(frozen=True, slots=True)
class _Piece:
    """Instances that one transaction clears."""

    keys: list[TaskKey]
    #: runs (DAG and run id) whose last instances are among the keys
    runs: list[tuple[str, str]]


def _pieces(database: Database, keys: Iterable[TaskKey]) -> Iterator[_Piece]:
    piece = _Piece([], [])
    for run, found in groupby(sorted(set(keys)), key=lambda key: (key.dag_id, key.run_id)):
        of_run = list(found)
        if piece.keys and len(piece.keys) + len(of_run) > _PIECE_SIZE:
            yield piece
            piece = _Piece([], [])
        if len(of_run) > _PIECE_SIZE and _has_ended(database, run):
            while len(of_run) > _PIECE_SIZE:
                yield _Piece(of_run[:_PIECE_SIZE], [])
                del of_run[:_PIECE_SIZE]
        piece.keys.extend(of_run)
        piece.runs.append(run)
    if piece.keys:
        yield piece


def _has_ended(database: Database, run: tuple[str, str]) -> bool:
    found = queries.run_of_id(database, *run)
    return found is not None and found.state.is_final


def _clear_piece(database: Database, piece: _Piece) -> list[TaskInstanceRow]:
    def work(connection: Connection, _: bool) -> list[TaskInstanceRow]:
        for dag_id, run_id in piece.runs:
            reopen(connection, dag_id, run_id)
        before = [instance for key in piece.keys if (instance := _clear(connection, key))]
        audit.note_instances(connection, "cleared", [instance.key for instance in before])
        return before

    return database.write(work)


def rerun_served(
    database: Database, dag_id: str, run_id: str, keys: Iterable[TaskKey], *, mode: RunMode, task_id: str | None
) -> DagRun:
    """Clear instances of a run, and queue another execution of the run for a master.

    Args:
        database: The database.
        dag_id: The DAG.
        run_id: The run, of which no instance is active.
        keys: Instances that run again.
        mode: Mode of the execution.
        task_id: Task of the modes run_one and run_from.

    Raises:
        UnknownRowError: The run does not exist.
    """
    wanted = list(keys)

    def work(connection: Connection, _: bool) -> DagRun:
        run = rerun_in(connection, dag_id, run_id, mode, task_id)
        before = [instance for key in wanted if (instance := _clear(connection, key))]
        add_claim(connection, dag_id, run_id)
        audit.note_instances(connection, "cleared", [instance.key for instance in before])
        return run

    return database.write(work)


def mark_success(database: Database, keys: Iterable[TaskKey]) -> list[TaskKey]:
    """Set task instances to success without a run, except active and successful ones; return the changed ones."""
    wanted = list(keys)

    def work(connection: Connection, again: bool) -> list[TaskKey]:
        marked = []
        for key in wanted:
            before = _read(connection, key)
            if before is not None and connection.execute(_MARK, key_bind(key)).rowcount:
                marked.append(key)
                if before.state is not None and before.state.is_waiting:
                    _end_attempt(connection, before, "marked success")
        audit.note_instances(connection, "marked success", marked)
        if again and not marked:
            return [key for key in wanted if (row := _read(connection, key)) and row.state is TaskState.SUCCESS]
        return marked

    return database.write(work)


def _read(connection: Connection, key: TaskKey) -> TaskInstanceRow | None:
    row = connection.execute(_READ, key_bind(key)).one_or_none()
    return None if row is None else instance_of(row)


def _change_state(connection: Connection, before: TaskInstanceRow, state: TaskState | None, note: str | None) -> bool:
    values: dict[str, Any] = {"state": state, "version": _ti.version + 1}
    if note is not None:
        values["note"] = note
    if before.state in _OPEN or (state is not None and state.is_final):
        values |= {"lease_owner": None, "lease_expires_at": None, "next_retry_at": None}
    if state is not None and state.is_final:
        values |= {"ended_at": now(), "duration": Seconds(_ti.started_at, now())}
    same = and_(key_match(_ti), _ti.version == before.version)
    if not connection.execute(update(task_instance).where(same).values(**values), key_bind(before.key)).rowcount:
        return False
    if before.state in _OPEN:
        _end_attempt(connection, before, note or f"set to {state}")
    return True


def _clear(connection: Connection, key: TaskKey) -> TaskInstanceRow | None:
    before = _read(connection, key)
    if before is None or before.state is None:
        return None
    bound = key_bind(key)
    if not connection.execute(_CLEAR, {**bound, "p_version": before.version}).rowcount:
        return None
    if before.state in _OPEN:
        _end_attempt(connection, before, "cleared")
    connection.execute(_CLEAR_ATTEMPTS, bound)
    connection.execute(_DELETE_XCOMS, bound)
    return before


def _end_attempt(connection: Connection, before: TaskInstanceRow, why: str) -> None:
    change = update(task_attempt).where(_attempt.attempt_uuid == before.attempt_uuid)
    ended = {"ended_at": now(), "duration": Seconds(_attempt.started_at, now())}
    connection.execute(change.values(state=TaskState.FAILED, error=why, **ended))
    if before.attempt_uuid is not None:
        waits.end_in(connection, [before.attempt_uuid])
