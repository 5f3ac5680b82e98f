"""Modes in which a run is executed again: which of its tasks run."""

from collections.abc import Iterable, Mapping

from elastic.core.errors import UsageError
from elastic.core.suggest import closest_name
from elastic.dag.errors import UnknownTaskError
from elastic.dag.states.state import TaskState
from elastic.db.records import RunMode, TaskInstanceRow
from elastic.scheduler.decisions.dag_spec import DagSpec

#: States of the copies of each task.
States = Mapping[str, set[TaskState | None]]


def states_of(rows: Iterable[TaskInstanceRow]) -> States:
    """Return the states of the copies of each task."""
    found: dict[str, set[TaskState | None]] = {}
    for one in rows:
        found.setdefault(one.task_id, set()).add(one.state)
    return found


def tasks_to_clear(dag: DagSpec, states: States, mode: RunMode, task_id: str | None = None) -> frozenset[str]:
    """Return the tasks that run again in a mode.

    Args:
        dag: The DAG.
        states: States of the tasks in the run.
        mode: nominal runs all tasks; recovery those that are not done; run_one one task; run_from a task and its
            downstream tasks.
        task_id: The task of run_one and run_from.

    Raises:
        UnknownTaskError: There is no such task; the error names the most similar one.
        UsageError: An upstream task is not done.
    """
    if mode is RunMode.NOMINAL:
        return frozenset(dag.tasks)
    if mode is RunMode.RECOVERY:
        return frozenset(one for one in dag.tasks if not _is_done(states.get(one)))
    if task_id is None or task_id not in dag.tasks:
        raise UnknownTaskError(dag.dag_id, task_id or "", closest_name(task_id or "", dag.tasks))
    before = [one for one in dag.tasks[task_id].upstream if not _is_done(states.get(one))]
    if before:
        raise UsageError(
            f"task {task_id!r} cannot run: {', '.join(map(repr, before))} before it "
            f"{'is' if len(before) == 1 else 'are'} not done; run {'it' if len(before) == 1 else 'them'} first."
        )
    after = dag.reachable([task_id], upstream=False) if mode is RunMode.RUN_FROM else frozenset()
    return after | {task_id}


def _is_done(states: Iterable[TaskState | None] | None) -> bool:
    """Return whether all copies of a task succeeded or were skipped; removed ones do not count."""
    found = [state for state in states or () if state is not TaskState.REMOVED]
    return bool(found) and all(state is not None and state.is_success for state in found)
