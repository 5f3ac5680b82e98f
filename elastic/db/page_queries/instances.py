"""Queries of the pages of runs and of task instances."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, false, func, or_, select

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState
from elastic.db.database import Database
from elastic.db.matching import below, beyond, is_key_text, key_bind, key_match, same
from elastic.db.records import DagRun, LogLine, TaskInstanceRow, instance_of, line_of, run_of
from elastic.db.schema import dag, dag_run, log_line, task_attempt, task_instance, xcom

_run, _ti, _attempt = dag_run.c, task_instance.c, task_attempt.c

#: States in the order of a list of instances. Instances without a state come before success.
_ORDER = (
    TaskState.FAILED,
    TaskState.UP_FOR_RETRY,
    TaskState.RUNNING,
    TaskState.DEFERRED,
    TaskState.UP_FOR_RESCHEDULE,
    TaskState.QUEUED,
    TaskState.SCHEDULED,
    TaskState.UPSTREAM_FAILED,
)
#: Rank of an instance that has no state yet.
RANK_WITHOUT_STATE = len(_ORDER)
_RANKS: Mapping[str, int] = {
    **{str(state): rank for rank, state in enumerate(_ORDER)},
    str(TaskState.SUCCESS): RANK_WITHOUT_STATE + 1,
    str(TaskState.SKIPPED): RANK_WITHOUT_STATE + 2,
    str(TaskState.REMOVED): RANK_WITHOUT_STATE + 3,
}
_RANK: ColumnElement[int] = case(_RANKS, value=_ti.state, else_=RANK_WITHOUT_STATE)

#: Maximum number of ids, and of ids of tasks, that a search for similar ones reads in each direction.
_MAX_NEAR, _MAX_NEAR_TASKS = 200, 20

#: Position in the list of instances of a run: rank of the state, task and map index.
Position = tuple[int, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFilter:
    """Selection of instances of a run."""

    #: only instances in one of these states; None for all
    states: Collection[TaskState] | None = None
    #: only instances of this task, or of the tasks in this group; None for all
    task_id: str | None = None
    group: str | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return the conditions of the selection."""
        found: list[ColumnElement[bool]] = []
        if self.states is not None:
            found.append(_ti.state.in_(list(self.states)))
        if self.task_id is not None:
            found.append(same(_ti.task_id, self.task_id))
        if self.group is not None:
            found.append(below(_ti.task_id, f"{self.group}."))
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """Neighbours of a copy of a mapped task."""

    count: int
    #: map indexes; None if there is no such copy
    previous: int | None
    next: int | None
    #: next failed copy; the search continues from the first copy after the last one
    next_failed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class XComRow:
    """XCom of a task instance, for display."""

    key: str
    at: dt.datetime
    #: length of the JSON value: bytes on MariaDB, else characters
    size: int
    #: beginning of the value
    value: str
    #: whether `value` is incomplete
    is_cut: bool


def instances_page(
    database: Database,
    dag_id: str,
    run_id: str,
    wanted: InstanceFilter,
    *,
    after: Position | None = None,
    limit: int = 50,
) -> tuple[list[TaskInstanceRow], Position | None]:
    """Return a page of the instances of a run, failed ones first, and the position of the next page.

    Args:
        database: The database.
        dag_id: The DAG.
        run_id: The run.
        wanted: Selection of instances.
        after: Position that the previous page returned.
        limit: Maximum number of instances.
    """
    query = select(task_instance).where(_ti.dag_id == dag_id, _ti.run_id == run_id, *wanted.conditions())
    if after is not None:
        rank, task, index = after
        same_task = and_(same(_ti.task_id, task), _ti.map_index > index)
        same_rank = and_(_RANK.in_([rank]), or_(beyond(_ti.task_id, task), same_task))
        query = query.where(or_(_RANK.between(rank + 1, len(_RANKS)), same_rank))
    query = query.order_by(_RANK, _ti.task_id, _ti.map_index).limit(limit + 1)
    rows = database.query(lambda connection: connection.execute(query).all())
    shown = [instance_of(row) for row in rows[:limit]]
    if len(rows) <= limit:
        return shown, None
    last = shown[-1]
    rank = RANK_WITHOUT_STATE if last.state is None else _RANKS[last.state]
    return shown, (rank, last.task_id, last.map_index)


def errors_of(database: Database, attempt_uuids: Sequence[str]) -> dict[str, str]:
    """Return the last line of the error of each attempt that has one, by attempt."""
    query = select(_attempt.attempt_uuid, _attempt.error).where(_attempt.attempt_uuid.in_(list(attempt_uuids)))
    rows = database.query(lambda connection: connection.execute(query).all()) if attempt_uuids else []
    found = {}
    for uuid, error in rows:
        lines = (error or "").strip().splitlines()
        if lines:
            found[uuid] = lines[-1]
    return found


def copies_around(database: Database, key: TaskKey) -> Copies:
    """Return the neighbours of a copy of a mapped task; removed copies do not count."""
    there = or_(_ti.state.is_(None), _ti.state != TaskState.REMOVED)
    of_task = (_ti.dag_id == key.dag_id, _ti.run_id == key.run_id, _ti.task_id == key.task_id, _ti.map_index >= 0)
    index = select(_ti.map_index).where(*of_task, there)
    failed = select(_ti.map_index).where(*of_task, _ti.state == TaskState.FAILED).order_by(_ti.map_index).limit(1)

    def first(connection: Connection, query: Select[Any]) -> int | None:
        found: int | None = connection.execute(query).scalar_one_or_none()
        return found

    def work(connection: Connection) -> Copies:
        after = failed.where(_ti.map_index > key.map_index)
        wrapped = failed.where(_ti.map_index < key.map_index)
        next_failed = first(connection, after)
        return Copies(
            count=connection.execute(select(func.count()).select_from(index.subquery())).scalar_one(),
            previous=first(
                connection, index.where(_ti.map_index < key.map_index).order_by(_ti.map_index.desc()).limit(1)
            ),
            next=first(connection, index.where(_ti.map_index > key.map_index).order_by(_ti.map_index).limit(1)),
            next_failed=first(connection, wrapped) if next_failed is None else next_failed,
        )

    return database.query(work)


def next_failed(database: Database, key: TaskKey) -> TaskKey | None:
    """Return the next failed instance of a run by task and map index; None if there is no other.

    The search continues from the first instance after the last one.
    """
    failed = select(_ti.task_id, _ti.map_index).where(
        _ti.dag_id == key.dag_id, _ti.run_id == key.run_id, _ti.state == TaskState.FAILED
    )
    failed = failed.order_by(_ti.task_id, _ti.map_index).limit(1)
    later = or_(_ti.task_id > key.task_id, and_(_ti.task_id == key.task_id, _ti.map_index > key.map_index))
    other = or_(_ti.task_id != key.task_id, _ti.map_index != key.map_index)

    def work(connection: Connection) -> TaskKey | None:
        row = (
            connection.execute(failed.where(later)).one_or_none()
            or connection.execute(failed.where(other)).one_or_none()
        )
        return None if row is None else TaskKey(key.dag_id, key.run_id, row.task_id, row.map_index)

    return database.query(work)


def state_counts(database: Database, dag_id: str, run_id: str) -> dict[TaskState | None, int]:
    """Return the number of instances of a run in each state."""
    query = select(_ti.state, func.count()).where(_ti.dag_id == dag_id, _ti.run_id == run_id).group_by(_ti.state)
    rows = database.query(lambda connection: connection.execute(query).all())
    return {None if state is None else TaskState(state): count for state, count in rows}


def task_counts(database: Database, key: TaskKey) -> dict[TaskState | None, int]:
    """Return the number of instances of a task in each state; the map index of the key is ignored."""
    query = select(_ti.state, func.count()).where(
        _ti.dag_id == key.dag_id, _ti.run_id == key.run_id, _ti.task_id == key.task_id
    )
    rows = database.query(lambda connection: connection.execute(query.group_by(_ti.state)).all())
    return {None if state is None else TaskState(state): count for state, count in rows}


def copies_page(
    database: Database,
    key: TaskKey,
    *,
    states: Collection[TaskState] | None = None,
    after: int = -1,
    limit: int = 100,
) -> tuple[list[TaskInstanceRow], bool]:
    """Return the copies of a mapped task after a map index, and whether there are more."""
    query = select(task_instance).where(
        _ti.dag_id == key.dag_id, _ti.run_id == key.run_id, _ti.task_id == key.task_id, _ti.map_index > after
    )
    query = query if states is None else query.where(_ti.state.in_(list(states)))
    query = query.order_by(_ti.map_index).limit(limit + 1)
    rows = database.query(lambda connection: connection.execute(query).all())
    return [instance_of(row) for row in rows[:limit]], len(rows) > limit


def keys_of_copies(database: Database, key: TaskKey, *, limit: int | None = None) -> list[TaskKey]:
    """Return the keys of the copies of a mapped task."""
    query = select(_ti.map_index).where(
        _ti.dag_id == key.dag_id, _ti.run_id == key.run_id, _ti.task_id == key.task_id, _ti.map_index >= 0
    )
    query = query.limit(limit)
    found = database.query(lambda connection: connection.execute(query).scalars().all())
    return [TaskKey(key.dag_id, key.run_id, key.task_id, index) for index in found]


def last_log_lines(database: Database, key: TaskKey, limit: int = 1000) -> list[LogLine]:
    """Return the last log lines of a task instance in the database."""
    column = log_line.c
    query = select(log_line).where(
        column.dag_id == key.dag_id, column.run_id == key.run_id, column.task_id == key.task_id
    )
    query = query.where(column.map_index == key.map_index).order_by(column.id.desc()).limit(limit)
    return [line_of(row) for row in reversed(database.query(lambda connection: connection.execute(query).all()))]


def xcoms_of(database: Database, key: TaskKey, *, max_characters: int = 65_536, limit: int = 200) -> list[XComRow]:
    """Return the XComs of a task instance by key, each with the beginning of its value."""
    columns = xcom.c
    query = select(
        columns.key,
        columns.at,
        func.length(columns.value).label("size"),
        func.substr(columns.value, 1, max_characters + 1).label("value"),
    )
    query = query.where(key_match(columns)).order_by(columns.key).limit(limit)
    rows = database.query(lambda connection: connection.execute(query, key_bind(key)).all())
    return [
        XComRow(
            key=row.key,
            at=row.at,
            size=row.size,
            value=row.value[:max_characters],
            is_cut=len(row.value) > max_characters,
        )
        for row in rows
    ]


def xcom_value(database: Database, key: TaskKey, name: str) -> str | None:
    """Return the whole value (JSON) of an XCom of a task instance, or None."""
    query = select(xcom.c.value).where(key_match(xcom.c), xcom.c.key == name)
    return database.query(lambda connection: connection.execute(query, key_bind(key)).scalar_one_or_none())


def runs_page(
    database: Database,
    dag_id: str,
    *,
    states: Collection[RunState] | None = None,
    before: dt.datetime | None = None,
    limit: int = 50,
) -> tuple[list[DagRun], dt.datetime | None]:
    """Return a page of the runs of a DAG, latest first, and the date before which the next page begins.

    Args:
        database: The database.
        dag_id: The DAG.
        states: Only runs in one of these states; None for all.
        before: Only runs before this logical date.
        limit: Maximum number of runs.
    """
    query = select(dag_run).where(_run.dag_id == dag_id)
    query = query if states is None else query.where(_run.state.in_(list(states)))
    query = query if before is None else query.where(_run.logical_date < before)
    query = query.order_by(_run.logical_date.desc()).limit(limit + 1)
    rows = database.query(lambda connection: connection.execute(query).all())
    shown = [run_of(row) for row in rows[:limit]]
    return shown, (shown[-1].logical_date if len(rows) > limit else None)


def counts_of_runs(database: Database, dag_id: str, run_ids: Sequence[str]) -> dict[str, dict[TaskState | None, int]]:
    """Return the number of instances in each state, by run."""
    query = select(_ti.run_id, _ti.state, func.count()).where(_ti.dag_id == dag_id, _ti.run_id.in_(list(run_ids)))
    query = query.group_by(_ti.run_id, _ti.state)
    rows = database.query(lambda connection: connection.execute(query).all()) if run_ids else []
    found: dict[str, dict[TaskState | None, int]] = {}
    for run_id, state, count in rows:
        found.setdefault(run_id, {})[None if state is None else TaskState(state)] = count
    return found


def near_dag_ids(database: Database, name: str) -> list[str]:
    """Return ids of stored DAGs that may be similar to an unknown one: its neighbours in the order, and the first ones.

    The database reads some hundreds of ids, however many there are.
    """
    return _near(database, select(dag.c.dag_id), dag.c.dag_id, name)


def near_run_ids(database: Database, dag_id: str, name: str) -> list[str]:
    """Return ids of runs of a DAG that may be similar to an unknown one: its neighbours, and the latest ones."""
    query = select(_run.run_id).where(_run.dag_id == dag_id)
    latest = query.order_by(_run.logical_date.desc()).limit(_MAX_NEAR)
    found = database.query(lambda connection: connection.execute(latest).scalars().all())
    return list(dict.fromkeys([*found, *_near(database, query, _run.run_id, name)]))


def near_task_ids(database: Database, dag_id: str, run_id: str, name: str) -> list[str]:
    """Return ids of tasks of a run that may be similar to an unknown one: its neighbours, and the first ones."""
    of_run = select(_ti.task_id).where(_ti.dag_id == dag_id, _ti.run_id == run_id).limit(1)

    def work(connection: Connection) -> list[str]:
        # One search in the index for each task: a mapped task may have a million copies.
        found: list[str] = []
        for start, is_up in ((name, True), (name, False), ("", True)):
            at: str | None = start
            for _ in range(_MAX_NEAR_TASKS):
                there = beyond(_ti.task_id, at or "") if is_up else _before(_ti.task_id, at or "")
                order = _ti.task_id if is_up else _ti.task_id.desc()
                at = connection.execute(of_run.where(there).order_by(order)).scalar_one_or_none()
                if at is None:
                    break
                found.append(at)
        return list(dict.fromkeys(found))

    return database.query(work)


def has_task(database: Database, key: TaskKey) -> bool:
    """Return whether a run has a task, mapped or not; the map index of the key is ignored."""
    query = select(_ti.task_id).where(same(_ti.dag_id, key.dag_id), same(_ti.run_id, key.run_id))
    query = query.where(same(_ti.task_id, key.task_id)).limit(1)
    return database.query(lambda connection: connection.execute(query).first() is not None)


def _near(database: Database, query: Select[Any], column: ColumnElement[str], name: str) -> list[str]:
    parts = (
        query.where(beyond(column, name)).order_by(column).limit(_MAX_NEAR),
        query.where(_before(column, name)).order_by(column.desc()).limit(_MAX_NEAR),
        query.order_by(column).limit(_MAX_NEAR),
    )

    def work(connection: Connection) -> list[str]:
        return [one for part in parts for one in connection.execute(part).scalars()]

    return list(dict.fromkeys(database.query(work)))


def _before(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return column < text if is_key_text(text) else false()
