"""List of DAGs with their last runs, read by four statements for any number of DAGs and runs."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    or_,
    select,
)

from elastic.dag.states.state import RunState
from elastic.db.database import Database
from elastic.db.matching import beyond, holding, same
from elastic.db.schema import dag, dag_cursor, dag_run, dag_version, task_instance

#: Number of last runs of each DAG.
RUNS_SHOWN = 14

#: A date before every run. MySQL does not support dates before the year 1000.
_FIRST_DATE = dt.datetime(1000, 1, 2, tzinfo=dt.UTC)
_ACTIVE = (RunState.QUEUED, RunState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class DagFilter:
    """Selection of DAGs."""

    #: id of a single DAG
    dag_id: str = ""
    #: substring of the id, the owner or a tag
    text: str = ""
    tag: str = ""
    owner: str = ""
    #: `failed`: one of the last runs failed; `running`: a run is active; empty for any
    state: str = ""
    paused: bool | None = None
    #: only DAGs that are no longer in their files
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedDag:
    """DAG of the list."""

    dag_id: str
    fileloc: str | None
    owner: str | None
    description: str | None
    schedule: str | None
    tags: tuple[str, ...]
    task_count: int
    #: number of the version; None if it has no number
    version: int | None
    is_paused: bool
    next_run_at: dt.datetime | None
    #: reason why it has no dates; None if it has dates
    blocked_reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """Run of a DAG of the list."""

    run_id: str
    state: str
    logical_date: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DagList:
    """One page of the list."""

    dags: Sequence[ListedDag]
    #: last runs by DAG, oldest first
    runs: Mapping[str, Sequence[ListedRun]]
    #: number of task instances of the last run by DAG and state
    tasks: Mapping[str, Mapping[str, int]]
    #: whether more DAGs follow
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DagTotals:
    """Counts of DAGs."""

    all: int
    failed: int
    running: int
    paused: int
    gone: int


def dag_list(database: Database, wanted: DagFilter, *, after: str = "", limit: int = 50) -> DagList:
    """Return the DAGs of a selection by id, with their last runs.

    Args:
        database: The database.
        wanted: The selection.
        after: Id of the last DAG on the previous page; empty for the first page.
        limit: Maximum number of DAGs.
    """

    def work(connection: Connection) -> DagList:
        rows = connection.execute(_dags(wanted, after).limit(limit + 1)).all()
        found = [_dag(row) for row in rows[:limit]]
        runs = _runs(connection, [one.dag_id for one in found])
        last = [(dag_id, of_dag[-1].run_id) for dag_id, of_dag in runs.items()]
        return DagList(dags=found, runs=runs, tasks=_tasks(connection, last), has_more=len(rows) > limit)

    return database.query(work)


def dag_totals(database: Database) -> DagTotals:
    """Return the numbers of DAGs."""
    active = dag.c.is_active.is_(True)
    columns = {
        "all": active,
        "failed": and_(active, _has_failed()),
        "running": and_(active, _is_running()),
        "paused": and_(active, dag_cursor.c.is_paused.is_(True)),
        "gone": dag.c.is_active.is_(False),
    }
    sums = [func.coalesce(func.sum(case((one, 1), else_=0)), 0).label(name) for name, one in columns.items()]
    query = select(*sums).select_from(_joined())
    row = database.query(lambda connection: connection.execute(query).one())
    return DagTotals(**{name: int(value) for name, value in row._mapping.items()})


def _joined() -> Any:
    return dag.outerjoin(dag_cursor, dag_cursor.c.dag_id == dag.c.dag_id)


def _dags(wanted: DagFilter, after: str) -> Select[Any]:
    version = and_(dag_version.c.dag_id == dag.c.dag_id, dag_version.c.structure_digest == dag.c.structure_digest)
    query = (
        select(
            dag.c.dag_id,
            dag.c.fileloc,
            dag.c.owner,
            dag.c.description,
            dag.c.schedule,
            dag.c.tags,
            dag.c.task_count,
            dag_version.c.number.label("version"),
            func.coalesce(dag_cursor.c.is_paused, false()).label("is_paused"),
            dag_cursor.c.next_run_at,
            dag_cursor.c.blocked_reason,
        )
        .select_from(_joined().outerjoin(dag_version, version))
        .order_by(dag.c.dag_id)
        .where(dag.c.is_active.is_(not wanted.gone), *_conditions(wanted))
    )
    return query.where(beyond(dag.c.dag_id, after)) if after else query


def _conditions(wanted: DagFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.dag_id:
        found.append(same(dag.c.dag_id, wanted.dag_id))
    if wanted.text:
        text = wanted.text.lower()
        labels = (func.lower(column).contains(text, autoescape=True) for column in (dag.c.owner, dag.c.tags))
        found.append(or_(holding(dag.c.dag_id, text), *labels))
    if wanted.tag:
        tags = literal(",").concat(dag.c.tags).concat(literal(","))
        found.append(tags.contains(f",{wanted.tag},", autoescape=True))
    if wanted.owner:
        found.append(dag.c.owner == wanted.owner)
    if wanted.paused is not None:
        found.append(func.coalesce(dag_cursor.c.is_paused, false()).is_(wanted.paused))
    if wanted.state == "failed":
        found.append(_has_failed())
    if wanted.state == "running":
        found.append(_is_running())
    return found


def _first_shown() -> ColumnElement[Any]:
    """Return the logical date of the oldest of the last runs of the DAG of the outer statement."""
    run = dag_run.alias("recent")
    oldest = (
        select(run.c.logical_date)
        .where(run.c.dag_id == dag.c.dag_id)
        .order_by(run.c.logical_date.desc())
        .limit(1)
        .offset(RUNS_SHOWN - 1)
        .correlate(dag)
        .scalar_subquery()
    )
    return func.coalesce(oldest, literal(_FIRST_DATE, dag_run.c.logical_date.type))


def _has_failed() -> ColumnElement[bool]:
    run = dag_run.alias("failure")
    return exists(
        select(run.c.run_id)
        .where(run.c.dag_id == dag.c.dag_id, run.c.state == RunState.FAILED, run.c.logical_date >= _first_shown())
        .correlate(dag)
    )


def _is_running() -> ColumnElement[bool]:
    run = dag_run.alias("active")
    return dag.c.dag_id.in_(select(run.c.dag_id).where(run.c.state.in_(_ACTIVE)))


def _runs(connection: Connection, dag_ids: Sequence[str]) -> dict[str, list[ListedRun]]:
    """Return the last runs by DAG. For each DAG, the database reads only these runs from an index."""
    if not dag_ids:
        return {}
    names = ("dag_id", *ListedRun.__dataclass_fields__)
    recent = and_(dag_run.c.dag_id == dag.c.dag_id, dag_run.c.logical_date >= _first_shown())
    query = (
        select(*(dag_run.c[name] for name in names))
        .select_from(dag.join(dag_run, recent))
        .where(dag.c.dag_id.in_(dag_ids))
        .order_by(dag_run.c.dag_id, dag_run.c.logical_date)
    )
    found: dict[str, list[ListedRun]] = {}
    for row in connection.execute(query):
        fields = dict(row._mapping)
        found.setdefault(fields.pop("dag_id"), []).append(ListedRun(**fields))
    return found


def _tasks(connection: Connection, runs: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """Return the number of task instances of runs by DAG and state; `none` before the first decision."""
    if not runs:
        return {}
    ti = task_instance.c
    # Do not use `(dag_id, run_id) IN`: SQLite would read the whole table.
    wanted = or_(*(and_(ti.dag_id == dag_id, ti.run_id == run_id) for dag_id, run_id in runs))
    query = select(ti.dag_id, ti.state, func.count().label("number")).where(wanted).group_by(ti.dag_id, ti.state)
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.dag_id, {})[row.state or "none"] = row.number
    return found


def _dag(row: Any) -> ListedDag:
    tags = tuple(tag for tag in (row.tags or "").split(",") if tag)
    return ListedDag(**{**row._mapping, "tags": tags, "is_paused": bool(row.is_paused)})
