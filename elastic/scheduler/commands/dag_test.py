"""Test runs: run all tasks of a DAG once, in this process and one after another, with a temporary database."""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from elastic.dag.dag import DAG
from elastic.dag.states.state import RunState
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.migration.upgrade import create
from elastic.db.records import RunType
from elastic.db.stores.pools import PoolStore
from elastic.executors.inline import InlineExecutor
from elastic.scheduler.commands.backfill import Summary
from elastic.scheduler.commands.failure_reasons import reasons_of
from elastic.scheduler.commands.planning import build_tracker, check_logical_date, make_instances, new_run
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.supervisor import Supervisor, SupervisorJob


def test_dag(dag: DAG, logical_date: datetime | None, say: Callable[[str], None]) -> Summary:
    """Run all tasks of a DAG once for a date, without retries; the data interval need not have passed.

    Connections and variables are those of the deployment. States and XComs go to a temporary database.
    """
    date = logical_date or dag.start_date or datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="elastic-trial-") as folder:
        database = Database(f"sqlite:///{folder}/trial.db")
        create(database)
        try:
            return _run(_temporary_deployment(database, Path(folder)), dag, date, say)
        finally:
            database.close()


def try_task(dag: DAG, task_id: str, logical_date: datetime | None, say: Callable[[str], None]) -> Summary:
    """Run one task of a DAG once for a date, regardless of its upstream tasks.

    Raises:
        UnknownTaskError: The DAG has no such task.
    """
    return test_dag(dag.subset([dag.get_task(task_id).task_id]), logical_date, say)


def _run(deployment: Deployment, dag: DAG, date: datetime, say: Callable[[str], None]) -> Summary:
    run = transitions.ensure_run(
        deployment.database,
        new_run(dag.dag_id, dag.schedule, dag.schedule.interval_of(check_logical_date(date)), RunType.MANUAL),
    )
    tasks = list(dag.topological())
    for pool in {task.pool for task in tasks}:
        # Tasks run one after another, so the limits of their pools do not matter.
        PoolStore(deployment.database).put(pool, -1)
    tracker = build_tracker(deployment.database, tasks, [run], Overrides(ignore_interval=True))
    make_instances(deployment.database, tasks, [run], tracker)
    job = SupervisorJob(
        dag=dag,
        runs=(run,),
        tracker=tracker,
        executor=InlineExecutor(),
        max_active_runs=0,
        tries_once=True,
        terminal=sys.stdout,
        kind="TrialJob",
    )
    Supervisor(deployment, job, say).run()
    end = tracker.end_of(run.run_id) or RunState.FAILED
    states = tracker.states()
    reasons = reasons_of(deployment.database, states)
    return Summary(dag_id=dag.dag_id, runs={run.run_id: end}, states=states, reasons=reasons)


def _temporary_deployment(database: Database, folder: Path) -> Deployment:
    return replace(Deployment.of(), database=database, logs=folder / "logs", flow_logs=None, lines_in_database=False)
