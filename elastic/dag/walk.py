"""A walk over the tasks of a DAG, one after another, that stops when one fails."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from elastic.dag.state import TaskState

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.operator import BaseOperator


class Walk:
    """Iterates over the tasks of a DAG as they become free. Tell it with `end` how each task ended.

        walk = Walk(dag)
        for task in walk:
            walk.end(task.task_id, TaskState.SUCCESS)

    It stops when a task has failed, and when no task is free. A task that was skipped counts as complete.

    Args:
        dag: The tasks.
        states: How tasks ended before the walk, by id; those that are complete are not visited.
    """

    def __init__(self, dag: "DAG", states: dict[str, TaskState] | None = None) -> None:
        self.dag = dag
        self.states = dict(states or {})
        self._visited = {task_id for task_id, state in self.states.items() if state.is_success}

    def __iter__(self) -> "Iterator[BaseOperator]":
        return self

    def __next__(self) -> "BaseOperator":
        if any(self.is_failed(task_id) for task_id in self._visited):
            raise StopIteration
        for task in self.dag.topological():
            if task.task_id not in self._visited and self.is_unblocked(task.task_id):
                self._visited.add(task.task_id)
                return task
        raise StopIteration

    def end(self, task_id: str, state: TaskState) -> None:
        """Say how a task ended.

        Raises:
            UnknownTaskError: The DAG has no such task.
        """
        self.states[self.dag.get_task(task_id).task_id] = state

    def is_unblocked(self, task_id: str) -> bool:
        """Say whether all tasks directly before a task are complete."""
        before = self.dag.get_task(task_id).upstream
        return all((state := self.states.get(one)) is not None and state.is_success for one in before)

    def is_failed(self, task_id: str) -> bool:
        """Say whether a task failed, or one before it did."""
        state = self.states.get(task_id)
        return state is not None and state.is_failure

    def dependants_of(self, task_id: str) -> list[str]:
        """Return the ids of all tasks after a task, on every level, in the order of the DAG."""
        after = {task.task_id for task in self.dag.get_task(task_id).get_flat_relatives(upstream=False)}
        return [one for one in self.dag.task_ids if one in after]
