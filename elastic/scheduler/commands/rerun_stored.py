"""Run a finished run of a stored DAG again, in a mode of Synergy, by a master of the scheduler service."""

from collections.abc import Sequence

from elastic.core.errors import UsageError
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunMode, TaskInstanceRow
from elastic.scheduler.commands.recover import is_done, states_of
from elastic.scheduler.decisions.dag_spec import DagSpec


def active_instance(database: Database, run: DagRun) -> TaskInstanceRow | None:
    """Return a queued or running task instance of a run, or None if the run can be run again."""
    found = queries.active_instances(database, run.dag_id)
    return next((one for one in found if one.run_id == run.run_id), None)


def rerun_stored(
    database: Database, dag: DagSpec, run: DagRun, *, mode: RunMode, task_id: str | None = None
) -> tuple[DagRun, int]:
    """Queue another execution of a run; return the run, and the number of task instances that run again.

    Args:
        database: The database.
        dag: The version of the DAG with which the run was made.
        run: The run, which has ended; see `active_instance`.
        mode: nominal runs all tasks again; recovery those that are not done; run_one one task; run_from a task and its
            downstream tasks.
        task_id: The task of run_one and run_from.

    Raises:
        UsageError: There is no such task, an upstream task is not done, or a command made the run.
    """
    if not run.is_served:
        raise UsageError(
            f"run {run.run_id!r} of DAG {run.dag_id!r} was made by a command, and no master runs it; use "
            "`elastic recover`, `elastic run-one` or `elastic run-from`."
        )
    rows = queries.instances(database, run.dag_id, [run.run_id])
    chosen = _tasks_to_clear(dag, rows, mode, task_id)
    keys = [one.key for one in rows if one.task_id in chosen]
    return transitions.rerun_served(database, run.dag_id, run.run_id, keys, mode=mode, task_id=task_id), len(keys)


def _tasks_to_clear(
    dag: DagSpec, rows: Sequence[TaskInstanceRow], mode: RunMode, task_id: str | None
) -> frozenset[str]:
    if mode is RunMode.NOMINAL:
        return frozenset(dag.tasks)
    states = states_of(rows)
    if mode is RunMode.RECOVERY:
        return frozenset(one for one in dag.tasks if not is_done(states.get(one)))
    if task_id is None or task_id not in dag.tasks:
        raise UsageError(f"DAG {dag.dag_id!r} has no task {task_id!r}; name one of its tasks.")
    before = [one for one in dag.tasks[task_id].upstream if not is_done(states.get(one))]
    if before:
        raise UsageError(f"task {task_id!r} cannot run before {before[0]!r}, which is not done; run that task first.")
    after = dag.reachable([task_id], upstream=False) if mode is RunMode.RUN_FROM else frozenset()
    return after | {task_id}
