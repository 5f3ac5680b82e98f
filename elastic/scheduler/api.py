"""Functions behind `DAG.run`, `DAG.test`, `task.run` and the like, which import this module when they are called."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from elastic.dag.dag import DAG
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState, state_of_copies
from elastic.dag.states.verdict import Verdict
from elastic.db import queries, transitions
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.scheduler.attempts.attempt_request import attempt_info_of
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands import dag_test
from elastic.scheduler.commands.backfill import BackfillOptions, Summary, backfill
from elastic.scheduler.commands.clear import ClearOptions, clear
from elastic.scheduler.commands.mapped_tasks import states_at
from elastic.scheduler.commands.run_task import (
    TaskRunOptions,
    dates_of,
    preview_run,
    run_at,
    run_in_process,
    run_range,
    verdicts_of,
)
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.free_slots import SLOT_CONDITIONS
from elastic.scheduler.deployment import Deployment


def run_dag(dag: DAG, start_date: datetime | None, end_date: datetime | None, **options: Any) -> Summary:
    """Backfill a range, and print the queued commands and a summary.

    Args:
        dag: The DAG.
        start_date: First logical date; None for that of the DAG.
        end_date: Last logical date, included; None for the first.
        options: Other fields of `BackfillOptions`.
    """
    backfill_options = BackfillOptions(start=start_date, end=end_date, **options)
    summary = backfill(Deployment.of(), dag, backfill_options, _print)
    _print(str(summary))
    return summary


def test_dag(dag: DAG, logical_date: datetime | None, **options: Any) -> Summary:
    """Run all tasks once in this process, and print a summary."""
    summary = dag_test.test_dag(dag, logical_date, lambda line: None, **options)
    _print(str(summary))
    return summary


#: Keeps test runners from collecting this function.
test_dag.__test__ = False  # type: ignore[attr-defined]


def clear_dag(dag: DAG, start_date: datetime | None, end_date: datetime | None, **options: Any) -> int:
    """Clear instances in a range and return their number; `options` are the other fields of `ClearOptions`."""
    return clear(Deployment.of().database, DagSpec.of(dag), ClearOptions(start=start_date, end=end_date, **options))


def run_task(
    task: BaseOperator, start_date: datetime | None, end_date: datetime | None, **options: Any
) -> dict[datetime, TaskState | None]:
    """Run one task for a range in this process and return its state for each date."""
    run_options = TaskRunOptions(**options)
    return run_range(Deployment.of(), task, dates_of(task, start_date, end_date), run_options, _print)


def task_instances(
    dag: DAG, start_date: datetime | None, end_date: datetime | None, state: str | None = None
) -> Sequence[TaskInstance]:
    """Return the task instances of a DAG in a range, in one state or in any state."""
    database = Deployment.of().database
    runs = {run.run_id: run for run in queries.runs(database, dag.dag_id, start=start_date, end=end_date)}
    return [
        _instance(dag, runs[one.run_id], one)
        for one in queries.instances(database, dag.dag_id, list(runs))
        if one.task_id in dag and (state is None or one.state == state)
    ]


def latest_execution_date(dag: DAG) -> datetime | None:
    """Return the logical date of the latest run."""
    found = queries.latest_run(Deployment.of().database, dag.dag_id)
    return found.logical_date if found else None


def merge_dag(dag: DAG) -> None:
    """Store the present source and structure of a DAG."""
    store(Deployment.of(), dag)


def instance_facts(instance: TaskInstance) -> TaskInstanceRow | None:
    """Return the row of an instance, or None if it has none."""
    database = Deployment.of().database
    run = _run_of(instance)
    if run is None:
        return None
    return queries.instance(database, _key(run, instance))


def instance_state(instance: TaskInstance) -> TaskState | None:
    """Return the state of an instance; for a mapped task without a map index, the combined state."""
    run = _run_of(instance)
    if run is None:
        return None
    return state_of_copies(states_at(Deployment.of().database, run, instance.task_id, instance.map_index))


def instance_verdicts(instance: TaskInstance, **options: Any) -> list[Verdict]:
    """Return the verdicts on running an instance now, without those on free slots."""
    deployment = Deployment.of()
    run_options = TaskRunOptions(map_index=instance.map_index, **options)
    found = verdicts_of(
        deployment, instance.task, preview_run(deployment, instance.task, instance.attempt.logical_date), run_options
    )
    return [one for one in found if one.condition not in SLOT_CONDITIONS]


def run_instance(instance: TaskInstance, **options: Any) -> TaskState | None:
    """Run one instance in this process and return its state."""
    deployment = Deployment.of()
    run = run_at(deployment, instance.task, instance.attempt.logical_date)
    run_options = TaskRunOptions(map_index=instance.map_index, **options)
    result = run_in_process(deployment, instance.task, run, run_options, terminal=sys.stdout)
    if result.reason:
        _print(f"{instance.task} for {instance.execution_date}: {result.reason}")
    return result.state


def mark_instance(instance: TaskInstance, state: str) -> bool:
    """Set the state of an instance."""
    run = _run_of(instance)
    if run is None:
        return False
    key = _key(run, instance)
    expected = [None, *TaskState]
    return transitions.set_state(Deployment.of().database, key, TaskState(state), expected=expected, note="set by hand")


def _key(run: DagRun, instance: TaskInstance) -> TaskKey:
    return TaskKey(run.dag_id, run.run_id, instance.task_id, instance.map_index)


def _run_of(instance: TaskInstance) -> DagRun | None:
    return queries.run_at(Deployment.of().database, instance.dag_id, instance.attempt.logical_date)


def _instance(dag: DAG, run: DagRun, one: TaskInstanceRow) -> TaskInstance:
    info = attempt_info_of(
        run, one.task_id, one.map_index, try_number=max(1, one.try_number), attempt_uuid=one.attempt_uuid or ""
    )
    return TaskInstance(dag.get_task(one.task_id), attempt=info)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
