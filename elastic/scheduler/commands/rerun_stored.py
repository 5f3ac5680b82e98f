"""Run a finished run of a stored DAG again, in a mode of Synergy, by a master of the scheduler service."""

from elastic.core.errors import UsageError
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunMode, TaskInstanceRow
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.run_modes import states_of, tasks_to_clear


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
        mode: The mode; see `tasks_to_clear`.
        task_id: The task of run_one and run_from.

    Raises:
        UsageError: A command made the run, or as in `tasks_to_clear`.
    """
    if not run.is_served:
        raise UsageError(
            f"run {run.run_id!r} of DAG {run.dag_id!r} was made by a command, and no master runs it; use "
            "`elastic recover`, `elastic run-one` or `elastic run-from`."
        )
    rows = queries.instances(database, run.dag_id, [run.run_id])
    chosen = tasks_to_clear(dag, states_of(rows), mode, task_id)
    keys = [one.key for one in rows if one.task_id in chosen]
    return transitions.rerun_served(database, run.dag_id, run.run_id, keys, mode=mode, task_id=task_id), len(keys)
