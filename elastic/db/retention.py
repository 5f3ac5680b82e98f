"""Retention: remove old finished runs with all their rows."""

import datetime as dt

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, select

from elastic.dag.states.state import RunState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.schema import (
    dag_run,
    dag_run_attempt,
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
        # All code locks runs before the rows that belong to them.
        connection.execute(select(dag_run.c.run_id).where(_is_old_run(before)).with_for_update()).close()
        for table in (run_callback, deadline, *_RUN_TABLES, task_trigger):
            connection.execute(delete(table).where(_belongs_to_old_run(table, before)))
        connection.execute(delete(dag_run).where(_is_old_run(before)))
        connection.execute(delete(job).where(_is_old_job(before)))
        audit.note(connection, "cleaned", f"runs before {before:%Y-%m-%d %H:%M:%S}")
        return counts

    return database.write(work)


def _counts(connection: Connection, before: dt.datetime) -> dict[str, int]:
    conditions = {table: _belongs_to_old_run(table, before) for table in _RUN_TABLES}
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


def _belongs_to_old_run(table: Table, before: dt.datetime) -> ColumnElement[bool]:
    same = and_(dag_run.c.dag_id == table.c.dag_id, dag_run.c.run_id == table.c.run_id)
    return exists(select(dag_run.c.dag_id).where(same, _is_old_run(before)).correlate(table))
