"""Orders of tasks: topological, as a tree, and parts of a DAG."""

import copy
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from elastic.dag.errors import CycleError, DefinitionError

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
