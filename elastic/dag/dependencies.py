"""Dependencies between tasks: `>>`, `<<`, `chain`, and the topological ranks that detect cycles."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias, TypeVar, cast

from elastic.dag.errors import (
    CycleError,
    DefinitionError,
    DuplicateDependencyError,
    DuplicateTaskError,
    ForeignTaskError,
)
from elastic.dag.protocols import OperatorLike

#: Either side of an arrow.
Linkable: TypeAlias = "DependencyMixin | Sequence[DependencyMixin]"

Other = TypeVar("Other")
Task = TypeVar("Task", bound=OperatorLike)


class DependencyMixin:
    """Either end of an arrow: a task, a group of tasks, or the output of a task.

    `a >> b` and `b << a` make `b` depend on `a`; either side may be a list. An arrow evaluates to its second operand,
    so arrows can be chained.
    """

    def first_tasks(self) -> Sequence[OperatorLike]:
        """Return the tasks at which an arrow to this ends."""
        raise NotImplementedError

    def last_tasks(self) -> Sequence[OperatorLike]:
        """Return the tasks at which an arrow from this starts."""
        raise NotImplementedError

    def set_downstream(self, others: Linkable) -> None:
        """Make each of `others` depend on this.

        Raises:
            DuplicateDependencyError: One of them already does.
            CycleError: This depends on one of them.
        """
        for other in _each(others):
            for upstream in self.last_tasks():
                for downstream in other.first_tasks():
                    add_dependency(upstream, downstream)

    def set_upstream(self, others: Linkable) -> None:
        """Make this depend on each of `others`.

        Raises:
            DuplicateDependencyError: It already depends on one of them.
            CycleError: One of them depends on this.
        """
        for other in _each(others):
            other.set_downstream(self)

    def __rshift__(self, other: Other) -> Other:
        self.set_downstream(cast("Linkable", other))
        return other

    def __lshift__(self, other: Other) -> Other:
        self.set_upstream(cast("Linkable", other))
        return other

    def __rrshift__(self, other: Linkable) -> "DependencyMixin":
        self.set_upstream(other)
        return self

    def __rlshift__(self, other: Linkable) -> "DependencyMixin":
        self.set_downstream(other)
        return self


def chain(*stages: Linkable) -> None:
    """Make each stage depend on the previous one. Two adjacent lists of equal length are linked pair by pair.

    Raises:
        DefinitionError: Two adjacent lists have different lengths.
    """
    for before, after in pairwise(stages):
        if not (isinstance(before, Sequence) and isinstance(after, Sequence)):
            for stage in _each(before):
                stage.set_downstream(after)
        elif len(before) != len(after):
            raise DefinitionError(
                f"chain() cannot pair {len(before)} tasks with {len(after)}. Give lists of equal length, or use >>."
            )
        else:
            for one, other in zip(before, after, strict=True):
                one.set_downstream(other)


def add_dependency(upstream: OperatorLike, downstream: OperatorLike, *, implied: bool = False) -> None:
    """Make one task depend directly on another.

    Args:
        upstream: The task that runs first.
        downstream: The task that depends on it.
        implied: The dependency follows from a passed value. It may exist already, and the user may still draw the
            arrow once.
    """
    _join(upstream, downstream)
    if downstream.task_id in upstream.downstream:
        if upstream.task_id in downstream.implied and not implied:
            downstream.implied.discard(upstream.task_id)
        elif not implied:
            raise DuplicateDependencyError(upstream.task_id, downstream.task_id)
        return
    _update_ranks(upstream, downstream)
    upstream.downstream[downstream.task_id] = downstream
    downstream.upstream[upstream.task_id] = upstream
    if implied:
        downstream.implied.add(upstream.task_id)


def reachable_tasks(task: Task, *, upstream: bool) -> list[Task]:
    """Return all upstream or downstream tasks of a task, the nearest first."""
    found: dict[str, Task] = {}
    level = [task]
    while level:
        neighbours: list[Task] = [
            other for one in level for other in (one.upstream if upstream else one.downstream).values()
        ]
        level = []
        for other in neighbours:
            if other.task_id not in found:
                found[other.task_id] = other
                level.append(other)
    return list(found.values())


def _each(linkable: Any) -> Iterable[DependencyMixin]:
    is_many = isinstance(linkable, Iterable) and not isinstance(linkable, DependencyMixin)
    for one in linkable if is_many else [linkable]:
        if not isinstance(one, DependencyMixin):
            raise DefinitionError(
                f"an arrow must connect tasks, groups or lists of tasks, got {one!r}. Give it a task."
            )
        yield one


def _join(one: OperatorLike, other: OperatorLike) -> None:
    """Put both tasks into one DAG, if either has one."""
    if one is not other and one.task_id == other.task_id and not one.has_dag and not other.has_dag:
        raise DuplicateTaskError(one.dag_id, one.task_id)
    if one.has_dag and other.has_dag:
        if one.dag is not other.dag:
            raise ForeignTaskError(one.task_id, one.dag_id, other.dag_id)
    elif one.has_dag:
        _adopt(one, other)
    elif other.has_dag:
        _adopt(other, one)


def _adopt(member: OperatorLike, newcomer: OperatorLike) -> None:
    """Add a task, and all tasks that it is connected to, to the DAG of `member`."""
    connected = [*reachable_tasks(newcomer, upstream=True), *reachable_tasks(newcomer, upstream=False)]
    for task in [newcomer, *connected]:
        if not task.has_dag:
            member.dag.add_task(task)


def _update_ranks(upstream: OperatorLike, downstream: OperatorLike) -> None:
    """Reorder the ranks of tasks for a new dependency, so that ranks rise along all dependencies.

    Only tasks with a rank between the two are visited. Most dependencies need no change, because users mostly define
    tasks in execution order. Source: Pearce and Kelly, A dynamic topological sort algorithm for directed acyclic graphs
    (2007).

    Raises:
        CycleError: `upstream` depends on `downstream`; no rank was changed.
    """
    low, high = downstream.rank, upstream.rank
    if high < low:
        return
    came_from = _search(downstream, lambda task: (one for one in task.downstream.values() if one.rank <= high))
    if upstream in came_from:
        path = _path_to(upstream, came_from)
        raise CycleError(downstream.task_id, " -> ".join([*path, downstream.task_id]))
    before = _search(upstream, lambda task: (one for one in task.upstream.values() if one.rank >= low))
    moved = [*sorted(before, key=lambda task: task.rank), *sorted(came_from, key=lambda task: task.rank)]
    for task, rank in zip(moved, sorted(task.rank for task in moved), strict=True):
        task.rank = rank


def _search(
    start: OperatorLike, neighbours: Callable[[OperatorLike], Iterable[OperatorLike]]
) -> dict[OperatorLike, OperatorLike | None]:
    """Return `start` and all tasks reachable from it, each with its predecessor on the way."""
    came_from: dict[OperatorLike, OperatorLike | None] = {start: None}
    pending = [start]
    while pending:
        task = pending.pop()
        for other in neighbours(task):
            if other not in came_from:
                came_from[other] = task
                pending.append(other)
    return came_from


def _path_to(goal: OperatorLike, came_from: dict[OperatorLike, OperatorLike | None]) -> list[str]:
    path = []
    task: OperatorLike | None = goal
    while task is not None:
        path.append(task.task_id)
        task = came_from[task]
    return path[::-1]
