"""Orders of tasks: topological, as an indented tree, and task by task."""

from collections.abc import Iterable, Iterator, Sequence

from elastic.dag.dependencies import reachable_tasks
from elastic.dag.errors import CycleError
from elastic.dag.operator import BaseOperator
from elastic.dag.protocols import DagLike, OperatorLike
from elastic.dag.states.state import TaskState


def topological(tasks: Sequence[BaseOperator]) -> Iterator[BaseOperator]:
    """Yield tasks in topological order; tasks on the same level keep the given order.

    Raises:
        CycleError: Some tasks depend on themselves, because user code changed `upstream` or `downstream` directly.
    """
    missing = {task.task_id: len(task.upstream) for task in tasks}
    ready = [task for task in tasks if not missing[task.task_id]]
    done = 0
    while ready:
        next_level: list[BaseOperator] = []
        for task in ready:
            yield task
            done += 1
            for other in task.downstream.values():
                missing[other.task_id] -= 1
                if not missing[other.task_id]:
                    next_level.append(other)
        ready = next_level
    if done < len(tasks):
        stuck = [task_id for task_id, count in missing.items() if count]
        raise CycleError(stuck[0], " -> ".join(stuck))


def tree(leaves: Iterable[BaseOperator]) -> str:
    """Return tasks as an indented string, each above its direct upstream tasks. A task is unfolded once."""
    lines: list[str] = []
    unfolded: set[str] = set()
    pending = [(task, 0) for task in reversed(list(leaves))]
    while pending:
        task, level = pending.pop()
        is_repeated = task.task_id in unfolded and bool(task.upstream)
        lines.append(f"{'    ' * level}{task}{' (see above)' if is_repeated else ''}")
        if not is_repeated:
            unfolded.add(task.task_id)
            pending += [(other, level + 1) for other in reversed(task.upstream_list)]
    return "\n".join(lines)


class TaskIterator:
    """Iterator over the tasks of a DAG whose upstream tasks are complete.

    The caller reports the outcome of each task with `end`. A scheduler service will use it; today only tests do.

        tasks = TaskIterator(dag)
        for task in tasks:
            tasks.end(task.task_id, TaskState.SUCCESS)

    The iteration stops when a visited task has failed, or when no task is unblocked. A skipped task is complete.

    Args:
        dag: The DAG.
        states: States of tasks that ended earlier, by id. Complete tasks are not visited.
    """

    def __init__(self, dag: DagLike, states: dict[str, TaskState] | None = None) -> None:
        self.dag = dag
        self.states = dict(states or {})
        self._visited = {task_id for task_id, state in self.states.items() if state.is_success}

    def __iter__(self) -> Iterator[OperatorLike]:
        return self

    def __next__(self) -> OperatorLike:
        if any(self.is_failed(task_id) for task_id in self._visited):
            raise StopIteration
        task: OperatorLike
        for task in self.dag.topological():
            if task.task_id not in self._visited and self.is_unblocked(task.task_id):
                self._visited.add(task.task_id)
                return task
        raise StopIteration

    def end(self, task_id: str, state: TaskState) -> None:
        """Record the final state of a task.

        Raises:
            UnknownTaskError: The DAG has no such task.
        """
        self.states[self.dag.get_task(task_id).task_id] = state

    def is_unblocked(self, task_id: str) -> bool:
        """Return whether all direct upstream tasks of a task are complete."""
        upstream = self.dag.get_task(task_id).upstream
        return all((state := self.states.get(one)) is not None and state.is_success for one in upstream)

    def is_failed(self, task_id: str) -> bool:
        """Return whether a task, or one of its upstream tasks, failed."""
        state = self.states.get(task_id)
        return state is not None and state.is_failure

    def dependants_of(self, task_id: str) -> list[str]:
        """Return the ids of all downstream tasks of a task, in the order of the DAG."""
        found = {task.task_id for task in reachable_tasks(self.dag.get_task(task_id), upstream=False)}
        return [one for one in self.dag.task_ids if one in found]
