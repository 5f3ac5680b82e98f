"""What definitions ask for: `DAG.run`, `DAG.test`, `task.run` and the like look this module up when they are called."""

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from elastic.dag.dag import DAG
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState, state_of_copies
from elastic.dag.states.verdict import Verdict
from elastic.db import queries, transitions
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.scheduler.attempts.attempt_request import facts_of
from elastic.scheduler.catalog.dag_catalog import store
from elastic.scheduler.commands import test_dag as commands_test_dag
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
from elastic.scheduler.decisions.conditions import ROOM
from elastic.scheduler.deployment import Deployment


def run_dag(dag: DAG, start_date: datetime | None, end_date: datetime | None, **options: Any) -> Summary:
    """Backfill a range, and print what is queued and what came of it.

    Args:
        dag: The DAG.
        start_date: The first logical date; None for that of the DAG.
        end_date: The last one, which is included; None for the first.
        options: The other fields of `BackfillOptions`.
    """
    backfill_options = BackfillOptions(start=start_date, end=end_date, **options)
    summary = backfill(Deployment.of(), dag, backfill_options, _print)
    _print(str(summary))
    return summary


def test_dag(dag: DAG, logical_date: datetime | None, **options: Any) -> Summary:
    """Run all tasks once in this process, and print how it went."""
    summary = commands_test_dag.test_dag(dag, logical_date, lambda line: None, **options)
    _print(str(summary))
    return summary


#: A runner of tests may take it for a test.
test_dag.__test__ = False  # type: ignore[attr-defined]


def clear_dag(dag: DAG, start_date: datetime | None, end_date: datetime | None, **options: Any) -> int:
    """Clear instances in a range, and return how many there were; options are the other fields of `ClearOptions`."""
    return clear(Deployment.of().database, dag, ClearOptions(start=start_date, end=end_date, **options))


def run_task(
    task: BaseOperator, start_date: datetime | None, end_date: datetime | None, **options: Any
) -> dict[datetime, TaskState | None]:
    """Run one task for a range in this process, and return the state of each date."""
    run_options = TaskRunOptions(**options)
    return run_range(Deployment.of(), task, dates_of(task, start_date, end_date), run_options, _print)


def task_instances(
    dag: DAG, start_date: datetime | None, end_date: datetime | None, state: str | None = None
) -> Sequence[TaskInstance]:
    """Return the instances of a DAG's tasks in a range, of one state or of any."""
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
    """Store what the DAG looks like now."""
    store(Deployment.of(), dag)


def instance_facts(instance: TaskInstance) -> TaskInstanceRow | None:
    """Return the row of an instance."""
    database = Deployment.of().database
    run = _run_of(instance)
    if run is None:
        return None
    facts = facts_of(run, instance.task_id, instance.map_index)
    return queries.instance(database, facts.key)


def instance_state(instance: TaskInstance) -> TaskState | None:
    """Return the state of an instance; of a mapped task without the number of a copy, that of its copies."""
    run = _run_of(instance)
    if run is None:
        return None
    return state_of_copies(states_at(Deployment.of().database, run, instance.task_id, instance.map_index))


def instance_verdicts(instance: TaskInstance, **options: Any) -> list[Verdict]:
    """Return the reasons for and against running an instance now."""
    deployment = Deployment.of()
    run_options = TaskRunOptions(map_index=instance.map_index, **options)
    found = verdicts_of(
        deployment, instance.task, preview_run(deployment, instance.task, instance.attempt.logical_date), run_options
    )
    return [one for one in found if one.condition not in ROOM]


def run_instance(instance: TaskInstance, **options: Any) -> TaskState | None:
    """Run one instance in this process, and return the state that it is in then."""
    deployment = Deployment.of()
    run = run_at(deployment, instance.task, instance.attempt.logical_date)
    run_options = TaskRunOptions(map_index=instance.map_index, **options)
    state, why = run_in_process(deployment, instance.task, run, run_options, terminal=sys.stdout)
    if why:
        _print(f"{instance.task} for {instance.execution_date}: {why}")
    return state


def mark_instance(instance: TaskInstance, state: str) -> bool:
    """Set the state of an instance by hand."""
    run = _run_of(instance)
    if run is None:
        return False
    key = facts_of(run, instance.task_id, instance.map_index).key
    expected = [None, *TaskState]
    return transitions.set_state(Deployment.of().database, key, TaskState(state), expected=expected, note="set by hand")


def _run_of(instance: TaskInstance) -> DagRun | None:
    return queries.run_at(Deployment.of().database, instance.dag_id, instance.attempt.logical_date)


def _instance(dag: DAG, run: DagRun, one: TaskInstanceRow) -> TaskInstance:
    facts = facts_of(
        run, one.task_id, one.map_index, try_number=max(1, one.try_number), attempt_uuid=one.attempt_uuid or ""
    )
    return TaskInstance(dag.get_task(one.task_id), attempt=facts)


def _print(line: str) -> None:
    sys.stdout.write(line + "\n")
