"""Runs that ended long ago are removed, with all that was kept of them."""

import datetime as dt

from sqlalchemy import ColumnElement, Connection, Table, and_, delete, exists, func, select

from elastic.dag.states.state import RunState
from elastic.db import audit
from elastic.db.database import Database
from elastic.db.schema import dag_run, dag_run_attempt, job, log, log_line, task_attempt, task_instance, xcom

#: What hangs on a run, and at last the run itself.
_OF_RUN = (xcom, log_line, log, task_attempt, task_instance, dag_run_attempt)


def countable(database: Database, before: dt.datetime) -> dict[str, int]:
    """Return how many rows of which table `clean` would remove."""
    return database.query(lambda connection: _counts(connection, before))


def clean(database: Database, before: dt.datetime) -> dict[str, int]:
    """Remove the runs of logical dates before a date that have ended, and the jobs that ended before it.

    Returns:
        How many rows of which table.
    """

    def work(connection: Connection, _: bool) -> dict[str, int]:
        counts = _counts(connection, before)
        for table in _OF_RUN:
            connection.execute(delete(table).where(_hangs_on(table, before)))
        connection.execute(delete(dag_run).where(_is_old(before)))
        connection.execute(delete(job).where(_is_over(before)))
        audit.note(connection, "cleaned", f"runs before {before:%Y-%m-%d %H:%M:%S}")
        return counts

    return database.write(work)


def _counts(connection: Connection, before: dt.datetime) -> dict[str, int]:
    conditions = {table: _hangs_on(table, before) for table in _OF_RUN}
    conditions |= {dag_run: _is_old(before), job: _is_over(before)}
    return {
        table.name: connection.execute(select(func.count()).select_from(table).where(condition)).scalar_one()
        for table, condition in conditions.items()
    }


def _is_old(before: dt.datetime) -> ColumnElement[bool]:
    ended = dag_run.c.state.in_([state for state in RunState if state.is_final])
    return and_(dag_run.c.logical_date < before, ended)


def _is_over(before: dt.datetime) -> ColumnElement[bool]:
    return and_(job.c.ended_at.is_not(None), job.c.ended_at < before)


def _hangs_on(table: Table, before: dt.datetime) -> ColumnElement[bool]:
    same = and_(dag_run.c.dag_id == table.c.dag_id, dag_run.c.run_id == table.c.run_id)
    return exists(select(dag_run.c.dag_id).where(same, _is_old(before)).correlate(table))
