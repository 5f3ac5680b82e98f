"""Trials: all tasks of a DAG once, in this process, one after another; nothing is kept."""

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
from elastic.scheduler.commands.planning import build_tracker, make_instances, new_run
from elastic.scheduler.decisions.inputs import Overrides
from elastic.scheduler.deployment import Deployment
from elastic.scheduler.supervisor.supervisor import Supervisor, SupervisorJob


def test_dag(dag: DAG, logical_date: datetime | None, say: Callable[[str], None]) -> Summary:
    """Run all tasks of a DAG once for a date; its interval need not have passed.

    There are no retries: a task that fails has failed, and what follows from that is seen at once.

    Connections and variables are those of the installation; states and values go to a database that is removed.
    """
    date = logical_date or dag.start_date or datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="elastic-trial-") as folder:
        database = Database(f"sqlite:///{folder}/trial.db")
        create(database)
        try:
            return _tried(_deployment(database, Path(folder)), dag, date, say)
        finally:
            database.close()


def try_task(dag: DAG, task_id: str, logical_date: datetime | None, say: Callable[[str], None]) -> Summary:
    """Run one task of a DAG once for a date, whatever stands before it.

    Raises:
        UnknownTaskError: There is no such task.
    """
    return test_dag(dag.subset([dag.get_task(task_id).task_id]), logical_date, say)


def _tried(deployment: Deployment, dag: DAG, date: datetime, say: Callable[[str], None]) -> Summary:
    run = transitions.ensure_run(
        deployment.database, new_run(dag.dag_id, dag, dag.schedule.interval_of(date), RunType.MANUAL)
    )
    tasks = list(dag.topological())
    for pool in {task.pool for task in tasks}:
        # Tasks run one after another, whatever room their pools have where they run in earnest.
        PoolStore(deployment.database).put(pool, -1)
    tracker = build_tracker(deployment.database, tasks, [run], Overrides(ignore_interval=True))
    make_instances(deployment.database, tasks, [run], tracker)
    assignment = SupervisorJob(
        dag=dag,
        runs=(run,),
        tracker=tracker,
        executor=InlineExecutor(),
        max_active_runs=0,
        tries_once=True,
        terminal=sys.stdout,
        kind="TrialJob",
    )
    Supervisor(deployment, assignment, say).run()
    end = tracker.end_of(run.run_id) or RunState.FAILED
    states = tracker.states()
    reasons = reasons_of(deployment.database, states)
    return Summary(dag_id=dag.dag_id, runs={run.run_id: end}, states=states, reasons=reasons)


def _deployment(database: Database, folder: Path) -> Deployment:
    return replace(Deployment.of(), database=database, logs=folder / "logs", flow_logs=None, lines_in_database=False)
