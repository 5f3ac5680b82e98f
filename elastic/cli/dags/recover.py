"""`elastic recover`, `run-one`, `run-from`: rerun all or part of a DAG run."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from elastic.cli.dags.dag_options import DagId, Subdir, TaskId, Timeperiod, deployment_and_dag
from elastic.cli.printing.output import say

if TYPE_CHECKING:
    from elastic.db.records import RunMode

RECOVER_EXAMPLE = "For example: elastic recover daily_etls 20160222"
RUN_ONE_EXAMPLE = "For example: elastic run-one daily_etls 20160222 event_load"
RUN_FROM_EXAMPLE = "For example: elastic run-from daily_etls 20160222 event_load"


def recover(dag_id: DagId, timeperiod: Timeperiod, subdir: Subdir = None) -> None:
    """Rerun the failed tasks of a run and all their downstream tasks. Successful tasks are kept."""
    from elastic.db.records import RunMode

    _run(dag_id, timeperiod, subdir, RunMode.RECOVERY)


def run_one(dag_id: DagId, timeperiod: Timeperiod, task_id: TaskId, subdir: Subdir = None) -> None:
    """Rerun one task of a run. Its upstream tasks must be done."""
    from elastic.db.records import RunMode

    _run(dag_id, timeperiod, subdir, RunMode.RUN_ONE, task_id)


def run_from(dag_id: DagId, timeperiod: Timeperiod, task_id: TaskId, subdir: Subdir = None) -> None:
    """Rerun a task and all its downstream tasks. Its upstream tasks must be done."""
    from elastic.db.records import RunMode

    _run(dag_id, timeperiod, subdir, RunMode.RUN_FROM, task_id)


def _run(dag_id: str, timeperiod: str, subdir: Path | None, mode: "RunMode", task_id: str | None = None) -> None:
    from elastic.scheduler.commands.recover import run_timeperiod

    deployment, dag = deployment_and_dag(dag_id, subdir)
    summary = run_timeperiod(deployment, dag, timeperiod, say, mode=mode, task_id=task_id)
    say(str(summary))
    if not summary.succeeded:
        raise typer.Exit(1)
