"""Trigger of a stored DAG: queue a run without loading the DAG file."""

import datetime as dt
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from elastic.core.errors import UsageError
from elastic.dag.ids import run_id_of
from elastic.dag.serialized_dag import from_dict
from elastic.dag.timetable.timeperiod import timeperiod_of
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.errors import UnknownRowError
from elastic.db.records import DagRun, RunType
from elastic.db.schema import dag as table
from elastic.db.stores.dags import structure_of


def trigger_stored(
    database: Database,
    dag_id: str,
    date: dt.datetime,
    run_id: str | None = None,
    conf: Mapping[str, Any] | None = None,
) -> DagRun:
    """Queue a run of the latest version of a DAG, for a master of the scheduler service.

    Args:
        database: The database.
        dag_id: The DAG.
        date: Logical date.
        run_id: Id of the run; None for an id made from the date.
        conf: Parameters for the tasks.

    Raises:
        UnknownRowError: The DAG is not stored.
        UsageError: The DAG is gone from its file, or a run for the date or with the id exists.
        SerializedDagError: The stored structure is not valid.
    """
    query = select(table.c.is_active, table.c.structure_digest, table.c.source_digest).where(table.c.dag_id == dag_id)
    row = database.query(lambda connection: connection.execute(query).one_or_none())
    if row is None:
        raise UnknownRowError("DAG", dag_id, "`elastic dags list` lists them")
    structure = structure_of(database, row.structure_digest or "")
    if not row.is_active or structure is None:
        raise UsageError(f"DAG {dag_id!r} is no longer in its file; restore the file, and trigger it again.")
    schedule = from_dict(json.loads(structure)).schedule
    interval = schedule.interval_of(date)
    if queries.run_at(database, dag_id, interval.start) is not None:
        raise UsageError(
            f"DAG {dag_id!r} has a run for {interval.start:%Y-%m-%d %H:%M:%S} already; clear it, or give another date."
        )
    made = DagRun(
        dag_id=dag_id,
        run_id=run_id or run_id_of(interval.start, RunType.MANUAL),
        logical_date=interval.start,
        data_interval_start=interval.start,
        data_interval_end=interval.end,
        timeperiod=timeperiod_of(interval.start, schedule),
        run_type=RunType.MANUAL,
        conf=conf or {},
        source_digest=row.source_digest,
        structure_digest=row.structure_digest,
        is_served=True,
    )
    return transitions.ensure_run(database, made)
