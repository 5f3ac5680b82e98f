"""Queries of the grid of a DAG: headers of runs and states of their task instances, without the structure."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, func, select

from elastic.dag.states.state import RunState, TaskState, state_of_copies
from elastic.db.database import Database
from elastic.db.records import RunType
from elastic.db.schema import dag_run, dag_version, task_instance

_run, _ti = dag_run.c, task_instance.c

#: Maximum number of ids in one statement.
_BATCH_SIZE = 500

_HEADER = (
    _run.run_id,
    _run.logical_date,
    _run.state,
    _run.run_type,
    _run.attempt,
    _run.started_at,
    _run.ended_at,
    _run.structure_digest,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHeader:
    """Column of the grid: the header of a run."""

    run_id: str
    logical_date: dt.datetime
    state: RunState
    run_type: RunType
    attempt: int
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    structure_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWindow:
    """Consecutive runs of a DAG, oldest first."""

    runs: tuple[RunHeader, ...]
    #: whether the DAG has runs before the first or after the last of these
    has_earlier: bool
    has_later: bool


@dataclass(slots=True)
class RunCells:
    """States of the tasks of some runs."""

    #: state by run and task; for a mapped task, the state of the copy that needs the most attention
    states: dict[str, dict[str, TaskState | None]] = field(default_factory=dict)
    #: number of copies by run and mapped task
    copies: dict[str, dict[str, int]] = field(default_factory=dict)

    def task_ids(self) -> set[str]:
        """Return the ids of all tasks that have a state in one of the runs."""
        return {task_id for found in self.states.values() for task_id in found}


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionRow:
    """Version of the structure of a DAG."""

    number: int
    structure_digest: str
    source_digest: str | None
    first_seen_at: dt.datetime


def run_window(database: Database, dag_id: str, limit: int, before: dt.datetime | None = None) -> RunWindow:
    """Return the latest runs of a DAG up to a logical date.

    Args:
        database: The database.
        dag_id: The DAG.
        limit: Maximum number of runs.
        before: Last logical date, included; None for no limit.
    """
    query = select(*_HEADER).where(_run.dag_id == dag_id).order_by(_run.logical_date.desc()).limit(limit + 1)
    query = query if before is None else query.where(_run.logical_date <= before)

    def work(connection: Connection) -> RunWindow:
        found = [_header(row) for row in connection.execute(query)]
        has_later = False
        if before is not None:
            later = select(_run.run_id).where(_run.dag_id == dag_id, _run.logical_date > before).limit(1)
            has_later = connection.execute(later).first() is not None
        shown = tuple(reversed(found[:limit]))
        return RunWindow(runs=shown, has_earlier=len(found) > limit, has_later=has_later)

    return database.query(work)


def date_of_later_runs(database: Database, dag_id: str, after: dt.datetime, limit: int) -> dt.datetime | None:
    """Return the logical date of the last run in the next window after a date; None if there are no later runs."""
    query = select(_run.logical_date).where(_run.dag_id == dag_id, _run.logical_date > after)
    query = query.order_by(_run.logical_date).limit(limit)
    found = database.query(lambda connection: connection.execute(query).scalars().all())
    return found[-1] if found else None


def run_after(database: Database, dag_id: str, date: dt.datetime) -> str | None:
    """Return the id of the first run of a DAG after a logical date, or None."""
    query = select(_run.run_id).where(_run.dag_id == dag_id, _run.logical_date > date)
    query = query.order_by(_run.logical_date).limit(1)
    return database.query(lambda connection: connection.execute(query).scalar_one_or_none())


def cells_of(
    database: Database, dag_id: str, run_ids: Sequence[str], task_ids: Sequence[str] | None = None
) -> RunCells:
    """Return the states of the tasks of runs. The copies of a mapped task count as one.

    Args:
        database: The database.
        dag_id: The DAG.
        run_ids: The runs, at most some hundreds.
        task_ids: Only these tasks; None for all.
    """
    return database.query(lambda connection: _cells(connection, dag_id, run_ids, task_ids))


def versions(database: Database, dag_id: str, limit: int = 200, *, before: int | None = None) -> list[VersionRow]:
    """Return the latest versions of a DAG, newest first; with `before`, those with smaller numbers."""
    columns = [dag_version.c[name] for name in VersionRow.__dataclass_fields__]
    query = select(*columns).where(dag_version.c.dag_id == dag_id).order_by(dag_version.c.number.desc()).limit(limit)
    query = query if before is None else query.where(dag_version.c.number < before)
    rows = database.query(lambda connection: connection.execute(query).all())
    return [VersionRow(**row._mapping) for row in rows]


def number_of_version(database: Database, dag_id: str, digest: str) -> int | None:
    """Return the number of the version with a structure, or None."""
    query = select(dag_version.c.number).where(dag_version.c.dag_id == dag_id, dag_version.c.structure_digest == digest)
    return database.query(lambda connection: connection.execute(query).scalar_one_or_none())


def _cells(connection: Connection, dag_id: str, run_ids: Sequence[str], task_ids: Sequence[str] | None) -> RunCells:
    found = RunCells(states={run_id: {} for run_id in run_ids})
    known: dict[str | None, TaskState | None] = {None: None, **{str(state): state for state in TaskState}}
    of_runs = (_ti.dag_id == dag_id, _ti.run_id.in_(run_ids))
    batches = (
        [None] if task_ids is None else [task_ids[at : at + _BATCH_SIZE] for at in range(0, len(task_ids), _BATCH_SIZE)]
    )
    copies: dict[tuple[str, str], list[TaskState | None]] = {}
    for batch in batches if run_ids else ():
        of_tasks = () if batch is None else (_ti.task_id.in_(batch),)
        plain = select(_ti.run_id, _ti.task_id, _ti.state).where(*of_runs, *of_tasks, _ti.map_index < 0)
        # Use the rows of the driver: SQLAlchemy's rows would double the time for 90,000 strings.
        rows = connection.execute(plain).cursor
        for run_id, task_id, state in rows.fetchall() if rows else ():
            found.states[run_id][task_id] = known[state]
        # The database counts, because a mapped task may have 100,000 copies.
        counted = select(_ti.run_id, _ti.task_id, _ti.state, func.count())
        counted = counted.where(*of_runs, *of_tasks, _ti.map_index >= 0)
        for run_id, task_id, state, count in connection.execute(counted.group_by(_ti.run_id, _ti.task_id, _ti.state)):
            copies.setdefault((run_id, task_id), []).append(known[state])
            if state != TaskState.REMOVED:
                of_run = found.copies.setdefault(run_id, {})
                of_run[task_id] = of_run.get(task_id, 0) + count
    for (run_id, task_id), states in copies.items():
        removed = all(state is TaskState.REMOVED for state in states)
        found.states[run_id][task_id] = TaskState.REMOVED if removed else state_of_copies(states)
    return found


def _header(row: object) -> RunHeader:
    fields = dict(row._mapping)  # type: ignore[attr-defined]
    return RunHeader(**{**fields, "state": RunState(fields["state"]), "run_type": RunType(fields["run_type"])})
