"""Rows for pages: DAGs with their structures, runs, and task instances."""

import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import update

from elastic.dag import DAG
from elastic.dag.serialized_dag import to_dict
from elastic.dag.states.state import RunState, TaskState
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType, TaskInstanceRow
from elastic.db.schema import dag_run, task_instance
from elastic.db.stores.dags import DagRow, FoundDag, store_dags
from elastic.operators import PythonOperator

NOW = dt.datetime(2026, 11, 29, 14, 2, tzinfo=dt.UTC)


def store_dag(database: Database, dag_id: str = "etl", *, schedule: str | None = "@daily", **fields: Any) -> None:
    """Store a DAG with two tasks, `first` and `second`."""
    start = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    with DAG(dag_id, schedule=schedule, start_date=start) as dag:
        first = PythonOperator(task_id="first", python_callable=print)
        second = PythonOperator(task_id="second", python_callable=print)
        first >> second
    structure = json.dumps(to_dict(dag), sort_keys=True)
    values: dict[str, Any] = {
        "dag_id": dag_id,
        "fileloc": f"/dags/{dag_id}.py",
        "owner": "ada",
        "schedule": str(dag.schedule),
        "task_count": 2,
        "source_digest": "0" * 64,
        "structure_digest": hashlib.sha256(structure.encode()).hexdigest(),
    }
    row = DagRow(**{**values, **fields})
    store_dags(database, [FoundDag(row, source="print()\n", structure=structure)])


def store_run(
    database: Database,
    dag_id: str = "etl",
    *,
    day: int = 0,
    state: RunState = RunState.SUCCESS,
    seconds: float | None = 60.0,
    tasks: Sequence[tuple[str, TaskState | None]] = (),
    **fields: Any,
) -> DagRun:
    """Store a run that began at midnight, `day` days from 1 November, with task instances in some states."""
    date = dt.datetime(2026, 11, 1, tzinfo=dt.UTC) + dt.timedelta(days=day)
    values: dict[str, Any] = {
        "dag_id": dag_id,
        "run_id": f"scheduled_{date:%Y%m%dT%H%M%S}",
        "logical_date": date,
        "data_interval_start": date,
        "data_interval_end": date + dt.timedelta(days=1),
        "run_type": RunType.SCHEDULED,
    }
    run = transitions.ensure_run(database, DagRun(**{**values, **fields}))
    rows = [TaskInstanceRow(dag_id=dag_id, run_id=run.run_id, task_id=task_id) for task_id, _ in tasks]
    transitions.ensure_instances(database, rows)
    ended = None if seconds is None or not state.is_final else date + dt.timedelta(seconds=seconds)
    started = None if state is RunState.QUEUED else date
    with database.begin() as connection:
        connection.execute(
            update(dag_run)
            .where(dag_run.c.dag_id == dag_id, dag_run.c.run_id == run.run_id)
            .values(state=state, started_at=started, ended_at=ended)
        )
        for task_id, task_state in tasks:
            same = (task_instance.c.dag_id == dag_id) & (task_instance.c.run_id == run.run_id)
            same &= task_instance.c.task_id == task_id
            connection.execute(update(task_instance).where(same).values(state=task_state))
    return run
