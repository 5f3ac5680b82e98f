"""Selection of task instances by dates, tasks and states, counted and read by the database."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select

from elastic.dag.states.state import TaskState
from elastic.db.database import Database
from elastic.db.matching import same
from elastic.db.records import TaskInstanceRow, instance_of
from elastic.db.schema import dag_run, task_instance

_run, _ti = dag_run.c, task_instance.c

_FAILURES = [state for state in TaskState if state.is_failure]
_ACTIVE = [state for state in TaskState if state.is_active]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceSelection:
    """Selection of the instances of a DAG that have a state."""

    dag_id: str
    #: first and last logical date, both included; None for no limit
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    #: only these tasks; None for all
    task_ids: Collection[str] | None = None
    #: of this task, only the copy `map_index`
    task_id: str | None = None
    map_index: int | None = None
    #: only instances in a state of failure
    only_failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionCounts:
    """Numbers of selected instances, of their runs, and of the queued and running ones among them."""

    instances: int
    runs: int
    active: int


def selection_counts(database: Database, wanted: InstanceSelection, *, limit: int) -> SelectionCounts:
    """Return the numbers of a selection. Counting stops at `limit` instances."""
    chosen = _query(wanted, _ti.run_id, _ti.state).limit(limit).subquery()
    active = func.sum(case((chosen.c.state.in_(_ACTIVE), 1), else_=0))
    query = select(func.count(), func.count(chosen.c.run_id.distinct()), func.coalesce(active, 0)).select_from(chosen)
    row = database.query(lambda connection: connection.execute(query).one())
    return SelectionCounts(instances=int(row[0]), runs=int(row[1]), active=int(row[2]))


def selected_instances(
    database: Database, wanted: InstanceSelection, *, limit: int | None = None
) -> list[TaskInstanceRow]:
    """Return the selected instances by run, task and map index."""
    query = _query(wanted, task_instance).order_by(_ti.run_id, _ti.task_id, _ti.map_index).limit(limit)
    return [instance_of(row) for row in database.query(lambda connection: connection.execute(query).all())]


def _query(wanted: InstanceSelection, *columns: object) -> Select[tuple[object, ...]]:
    same_run = and_(_run.dag_id == _ti.dag_id, _run.run_id == _ti.run_id)
    query = select(*columns).join_from(task_instance, dag_run, same_run)  # type: ignore[call-overload]
    found: Select[tuple[object, ...]] = query.where(*_conditions(wanted))
    return found


def _conditions(wanted: InstanceSelection) -> list[ColumnElement[bool]]:
    found = [same(_ti.dag_id, wanted.dag_id), _ti.state.is_not(None)]
    if wanted.start is not None:
        found.append(_run.logical_date >= wanted.start)
    if wanted.end is not None:
        found.append(_run.logical_date <= wanted.end)
    if wanted.task_ids is not None:
        found.append(_ti.task_id.in_(sorted(wanted.task_ids)))
    if wanted.map_index is not None and wanted.task_id is not None:
        found.append(or_(_ti.task_id != wanted.task_id, _ti.map_index == wanted.map_index))
    if wanted.only_failed:
        found.append(_ti.state.in_(_FAILURES))
    return found
