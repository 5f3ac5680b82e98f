"""Orders of tasks: topological, as a tree, and parts of a DAG.

A walk over the tasks of a DAG, one after another, that stops when one fails.
"""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from elastic.dag.errors import CycleError, DefinitionError
from elastic.dag.states.state import TaskState

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.operator import BaseOperator


def topological(tasks: "Sequence[BaseOperator]") -> "Iterator[BaseOperator]":
    """Yield tasks, each after those of them that are before it, otherwise in the order given.

    Raises:
        CycleError: Some come before themselves (which links refuse, so somebody changed the dicts by hand).
    """
    waiting = {task.task_id: sum(1 for _ in task.upstream) for task in tasks}
    ready = [task for task in tasks if not waiting[task.task_id]]
    done = 0
    while ready:
        later: list[BaseOperator] = []
        for task in ready:
            yield task
            done += 1
            for other in task.downstream.values():
                waiting[other.task_id] -= 1
                if not waiting[other.task_id]:
                    later.append(other)
        ready = later
    if done < len(tasks):
        stuck = [task_id for task_id, count in waiting.items() if count]
        raise CycleError(stuck[0], " -> ".join(stuck))


def tree(leaves: "Iterable[BaseOperator]") -> str:
    """Return an indented text of tasks: below each those directly before it, each of which is unfolded once."""
    lines: list[str] = []
    unfolded: set[str] = set()
    pending = [(task, 0) for task in reversed(list(leaves))]
    while pending:
        task, level = pending.pop()
        again = task.task_id in unfolded and bool(task.upstream)
        lines.append(f"{'    ' * level}{task}{' (see above)' if again else ''}")
        if not again:
            unfolded.add(task.task_id)
            pending += [(other, level + 1) for other in reversed(task.upstream_list)]
    return "\n".join(lines)


def sub_dag(dag: "DAG", task_regex: str, *, include_downstream: bool, include_upstream: bool) -> "DAG":
    """Return a copy of a DAG with the tasks whose ids match, and those around them that are asked for."""
    try:
        pattern = re.compile(task_regex)
    except re.error as error:
        raise DefinitionError(f"{task_regex!r} is not a regular expression ({error}).") from error
    wanted: set[str] = set()
    for task in dag.tasks:
        if pattern.search(task.task_id):
            wanted.add(task.task_id)
            if include_upstream:
                wanted.update(other.task_id for other in task.get_flat_relatives(upstream=True))
            if include_downstream:
                wanted.update(other.task_id for other in task.get_flat_relatives(upstream=False))
    return part_of(dag, wanted)


def part_of(dag: "DAG", task_ids: Iterable[str]) -> "DAG":
    """Return a copy of a DAG with some of its tasks; the tasks are copies too, linked among themselves only."""
    wanted = set(task_ids)
    part = copy.copy(dag)
    part.task_dict = {task.task_id: copy.copy(task) for task in dag.tasks if task.task_id in wanted}
    part.left_out = dag.left_out | (frozenset(dag.task_dict) - wanted)
    part.groups = {}
    part._tokens = []
    for task in part.task_dict.values():
        task.upstream = {one: part.task_dict[one] for one in task.upstream if one in wanted}
        task.downstream = {one: part.task_dict[one] for one in task.downstream if one in wanted}
        task.implied = task.implied & wanted
        task.group = None
        task._dag = part
    return part


class TaskIterator:
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
