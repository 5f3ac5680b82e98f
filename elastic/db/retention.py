"""Retention: remove old finished runs, and DAGs that are gone, with all their rows."""

import datetime as dt
from pathlib import Path

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, select

from elastic.core.errors import UsageError
from elastic.dag.states.state import RunState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.schema import (
    backfill,
    dag,
    dag_cursor,
    dag_run,
    dag_run_attempt,
    dag_structure,
    dag_version,
    deadline,
    job,
    log,
    log_line,
    notification,
    run_callback,
    task_attempt,
    task_instance,
    task_trigger,
    xcom,
)

#: Tables with rows that belong to a run.
_RUN_TABLES = (notification, dag_run_attempt, xcom, log_line, log, task_attempt, task_instance)

#: Runs that one transaction removes with a DAG.
_RUNS_AT_ONCE = 100


def countable(database: Database, before: dt.datetime) -> dict[str, int]:
    """Return the number of rows that `clean` would remove, by table."""
    return database.query(lambda connection: _counts(connection, before))


def clean(database: Database, before: dt.datetime) -> dict[str, int]:
    """Remove the finished runs with logical dates before a date, and the jobs that ended before it.

    Returns:
        The number of removed rows by table.
    """

    def work(connection: Connection, _: bool) -> dict[str, int]:
        counts = _counts(connection, before)
        _delete_runs(connection, _is_old_run(before))
        connection.execute(delete(job).where(_is_old_job(before)))
        audit.note(connection, "cleaned", f"runs before {before:%Y-%m-%d %H:%M:%S}")
        return counts

    return database.write(work)


def delete_dag(database: Database, dag_id: str) -> int:
    """Remove a DAG that its file no longer defines, with all its runs; return the number of runs.

    Runs are removed in pieces, so that no transaction is long; a deletion that was interrupted may be repeated. What
    users did with the DAG stays in the audit log.

    Raises:
        UnknownRowError: The DAG is not stored.
        UsageError: Its file defines it, or a run of it is active.
    """
    count = 0
    while number := database.write(lambda connection, _: _delete_some_runs(connection, dag_id)):
        count += number

    def work(connection: Connection, _: bool) -> None:
        _check_deletable(connection, dag_id)
        for table in (dag_cursor, backfill, dag_version, dag_structure):
            connection.execute(delete(table).where(table.c.dag_id == dag_id))
        connection.execute(delete(dag).where(dag.c.dag_id == dag_id))
        audit.note(connection, "deleted", f"DAG with {count} runs", dag_id)

    database.write(work)
    return count


def _delete_some_runs(connection: Connection, dag_id: str) -> int:
    _check_deletable(connection, dag_id)
    ids = select(dag_run.c.run_id).where(dag_run.c.dag_id == dag_id).order_by(dag_run.c.run_id).limit(_RUNS_AT_ONCE)
    found = connection.execute(ids).scalars().all()
    if found:
        _delete_runs(connection, and_(dag_run.c.dag_id == dag_id, dag_run.c.run_id.in_(found)))
    return len(found)


def _check_deletable(connection: Connection, dag_id: str) -> None:
    found = connection.execute(select(dag.c.is_active, dag.c.fileloc).where(dag.c.dag_id == dag_id)).one_or_none()
    if found is None:
        raise UnknownRowError("DAG", dag_id, "`elastic dags list` lists them")
    if found.is_active and Path(found.fileloc or "").is_file():
        raise UsageError(
            f"DAG {dag_id!r} is defined by {found.fileloc}, which would store it again; remove it there, run "
            "`elastic dags list`, and try again."
        )
    active = [state for state in RunState if not state.is_final]
    query = select(dag_run.c.run_id).where(dag_run.c.dag_id == dag_id, dag_run.c.state.in_(active)).limit(1)
    run_id = connection.execute(query).scalar()
    if run_id is not None:
        raise UsageError(
            f"run {run_id} of DAG {dag_id!r} is active; wait for its end, or mark it as failed on its page."
        )


def _delete_runs(connection: Connection, wanted: ColumnElement[bool]) -> None:
    """Remove the runs that a condition of `dag_run` selects, with all that belongs to them."""
    # All code locks runs before the rows that belong to them.
    connection.execute(select(dag_run.c.run_id).where(wanted).with_for_update()).close()
    for table in (run_callback, deadline, *_RUN_TABLES, task_trigger):
        connection.execute(delete(table).where(_belongs_to(table, wanted)))
    connection.execute(delete(dag_run).where(wanted))


def _counts(connection: Connection, before: dt.datetime) -> dict[str, int]:
    conditions = {table: _belongs_to(table, _is_old_run(before)) for table in _RUN_TABLES}
    conditions |= {dag_run: _is_old_run(before), job: _is_old_job(before)}
    return {
        table.name: connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
        for table, condition in conditions.items()
    }


def _is_old_run(before: dt.datetime) -> ColumnElement[bool]:
    ended = dag_run.c.state.in_([state for state in RunState if state.is_final])
    return and_(dag_run.c.logical_date < before, ended)


def _is_old_job(before: dt.datetime) -> ColumnElement[bool]:
    return and_(job.c.ended_at.is_not(None), job.c.ended_at < before)


def _belongs_to(table: Table, wanted: ColumnElement[bool]) -> ColumnElement[bool]:
    same = and_(dag_run.c.dag_id == table.c.dag_id, dag_run.c.run_id == table.c.run_id)
    return exists(select(dag_run.c.dag_id).where(same, wanted).correlate(table))
