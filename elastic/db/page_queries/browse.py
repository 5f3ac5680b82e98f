"""Tables of all runs, task instances and events, with filters and keyset paging."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, false, func, or_, select, tuple_

from elastic.db.database import Database
from elastic.db.matching import is_key_text, preceding, same
from elastic.db.records import DagRun, Event, Job, TaskInstanceRow, event_of, instance_of, run_of
from elastic.db.schema import dag_run, import_error, log, task_instance
from elastic.db.stores.jobs import jobs

_run, _ti = dag_run.c, task_instance.c

#: Events that record an action of a user; all others record state changes.
_BY_USERS = log.c.address.is_not(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Selection of rows; an empty value selects all."""

    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    state: str = ""
    run_type: str = ""
    event: str = ""
    owner: str = ""
    #: only actions of users of the web server
    by_users: bool = False
    #: only events of DAGs, not of users, connections and the like
    of_dags: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenFile:
    """File that could not be loaded."""

    path: str
    traceback: str
    at: dt.datetime


def runs_page(
    database: Database, wanted: RowFilter, *, after: tuple[dt.datetime, str] | None = None, limit: int = 50
) -> list[DagRun]:
    """Return runs, the latest logical date first, after a date and a DAG."""
    query = select(dag_run).where(*_of_runs(wanted))
    if after is not None:
        date, dag_id = after
        # Databases find the first row in the index by the first condition.
        query = query.where(_run.logical_date <= date, or_(_run.logical_date < date, preceding(_run.dag_id, dag_id)))
    query = query.order_by(_run.logical_date.desc(), _run.dag_id.desc()).limit(limit)
    return [run_of(row) for row in _rows(database, query)]


def instances_page(
    database: Database, wanted: RowFilter, *, after: tuple[str, str, str, int] | None = None, limit: int = 50
) -> list[TaskInstanceRow]:
    """Return task instances in the order of their keys, after a key."""
    query = select(task_instance).where(*_of_instances(wanted))
    key = tuple_(_ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index)
    if after is not None:
        query = query.where(key > after if all(is_key_text(one) for one in after[:3]) else false())
    query = query.order_by(_ti.dag_id, _ti.run_id, _ti.task_id, _ti.map_index).limit(limit)
    return [instance_of(row) for row in _rows(database, query)]


def runs_count(database: Database, wanted: RowFilter, *, limit: int) -> int:
    """Return the number of runs, at most `limit`."""
    return _count(database, select(_run.run_id).where(*_of_runs(wanted)), limit)


def instances_count(database: Database, wanted: RowFilter, *, limit: int) -> int:
    """Return the number of task instances, at most `limit`."""
    return _count(database, select(_ti.task_id).where(*_of_instances(wanted)), limit)


def events_page(
    database: Database, wanted: RowFilter, *, before: int | None = None, limit: int = 50
) -> list[tuple[int, Event]]:
    """Return the latest events with their ids, before an id."""
    conditions = _equal(log.c, wanted, "dag_id", "run_id", "task_id", "event", "owner")
    if wanted.by_users:
        conditions.append(_BY_USERS)
    if wanted.of_dags:
        conditions.append(log.c.dag_id.is_not(None))
    query = select(log).where(*conditions)
    if before is not None:
        query = query.where(log.c.id < before)
    return [(row.id, event_of(row)) for row in _rows(database, query.order_by(log.c.id.desc()).limit(limit))]


def broken_files(database: Database, *, limit: int = 200) -> list[BrokenFile]:
    """Return the files that could not be loaded, by path."""
    query = select(import_error.c.path, import_error.c.traceback, import_error.c.at)
    rows = _rows(database, query.order_by(import_error.c.path).limit(limit))
    return [BrokenFile(path=row.path, traceback=row.traceback, at=row.at) for row in rows]


def latest_jobs(database: Database, heartbeat: float, *, limit: int = 100) -> list[Job]:
    """Return the latest jobs; `heartbeat` is the interval of their heartbeats (seconds)."""
    return jobs(database, heartbeat, limit=limit)


def _of_runs(wanted: RowFilter) -> list[ColumnElement[bool]]:
    return _equal(_run, wanted, "dag_id", "run_id", "state", "run_type")


def _of_instances(wanted: RowFilter) -> list[ColumnElement[bool]]:
    conditions = _equal(_ti, wanted, "dag_id", "run_id", "task_id")
    if wanted.state:
        conditions.append(_ti.state.is_(None) if wanted.state == "none" else same(_ti.state, wanted.state))
    return conditions


def _count(database: Database, query: Select[Any], limit: int) -> int:
    counted = select(func.count()).select_from(query.limit(limit).subquery())
    return int(database.query(lambda connection: connection.execute(counted).scalar_one()))


def _equal(columns: Any, wanted: RowFilter, *names: str) -> list[ColumnElement[bool]]:
    """Return the conditions for the given values. The owner is a label, which may contain any characters."""
    given = [(columns[name], getattr(wanted, name)) for name in names if getattr(wanted, name)]
    return [column == value if column.name == "owner" else same(column, value) for column, value in given]


def _rows(database: Database, query: Select[Any]) -> Sequence[Any]:
    def work(connection: Connection) -> Sequence[Any]:
        return connection.execute(query).all()

    return database.query(work)
