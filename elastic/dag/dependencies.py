"""Links between tasks: who comes before whom."""

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from elastic.dag.errors import CycleError, DefinitionError, DuplicateLinkError, DuplicateTaskError, ForeignTaskError

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator

    #: What may stand on either side of an arrow.
    Linked: TypeAlias = "DependencyMixin | Sequence[DependencyMixin]"

Other = TypeVar("Other")


class DependencyMixin:
    """Something that arrows lead to and from: a task, a group of tasks, the output of a task.

    `a >> b` and `b << a` say that `b` comes after `a`; either side may be a list. The value of an arrow is its
    second operand, so that arrows can be chained.
    """

    def first_tasks(self) -> "Sequence[BaseOperator]":
        """Return the tasks that an arrow to this leads to."""
        raise NotImplementedError

    def last_tasks(self) -> "Sequence[BaseOperator]":
        """Return the tasks that an arrow from this starts at."""
        raise NotImplementedError

    def set_downstream(self, others: "Linked") -> None:
        """Say that each of `others` comes after this.

        Raises:
            DuplicateLinkError: One of them does already.
            CycleError: This comes after one of them.
        """
        for other in _each(others):
            for upstream in self.last_tasks():
                for downstream in other.first_tasks():
                    add_dependency(upstream, downstream)

    def set_upstream(self, others: "Linked") -> None:
        """Say that this comes after each of `others`.

        Raises:
            DuplicateLinkError: It comes after one of them already.
            CycleError: One of them comes after this.
        """
        for other in _each(others):
            other.set_downstream(self)

    def __rshift__(self, other: Other) -> Other:
        self.set_downstream(cast("Linked", other))
        return other

    def __lshift__(self, other: Other) -> Other:
        self.set_upstream(cast("Linked", other))
        return other

    def __rrshift__(self, other: "Linked") -> "DependencyMixin":
        self.set_upstream(other)
        return self

    def __rlshift__(self, other: "Linked") -> "DependencyMixin":
        self.set_downstream(other)
        return self


def chain(*stations: "Linked") -> None:
    """Link each station to the next; two lists of one length are linked pair by pair.

    Raises:
        DefinitionError: Two lists that follow each other have different lengths.
    """
    for before, after in pairwise(stations):
        if not (isinstance(before, Sequence) and isinstance(after, Sequence)):
            for station in _each(before):
                station.set_downstream(after)
        elif len(before) != len(after):
            raise DefinitionError(
                f"chain() cannot pair {len(before)} tasks with {len(after)}; give lists of one length, or use >>."
            )
        else:
            for one, other in zip(before, after, strict=True):
                one.set_downstream(other)


def add_dependency(upstream: "BaseOperator", downstream: "BaseOperator", *, implied: bool = False) -> None:
    """Say that one task comes directly after another.

    Args:
        upstream: The one before.
        downstream: The one after.
        implied: The link follows from a value that is passed; then it may be there already, and an arrow may still
            say it once.
    """
    _join(upstream, downstream)
    if downstream.task_id in upstream.downstream:
        if upstream.task_id in downstream.implied and not implied:
            downstream.implied.discard(upstream.task_id)
        elif not implied:
            raise DuplicateLinkError(upstream.task_id, downstream.task_id)
        return
    _sort_in(upstream, downstream)
    upstream.downstream[downstream.task_id] = downstream
    downstream.upstream[upstream.task_id] = upstream
    if implied:
        downstream.implied.add(upstream.task_id)


def reach(task: "BaseOperator", *, upstream: bool) -> "list[BaseOperator]":
    """Return all tasks before or after a task, on every level, the nearest first."""
    found: dict[str, BaseOperator] = {}
    level = [task]
    while level:
        near = [other for one in level for other in (one.upstream if upstream else one.downstream).values()]
        level = []
        for other in near:
            if other.task_id not in found:
                found[other.task_id] = other
                level.append(other)
    return list(found.values())


def _each(linked: Any) -> "Iterable[DependencyMixin]":
    for one in (
        [linked] if isinstance(linked, DependencyMixin) else linked if isinstance(linked, Iterable) else [linked]
    ):
        if not isinstance(one, DependencyMixin):
            raise DefinitionError(f"{one!r} cannot be linked; an arrow leads to a task, a group or a list of tasks.")
        yield one


def _join(one: "BaseOperator", other: "BaseOperator") -> None:
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


def _adopt(member: "BaseOperator", newcomer: "BaseOperator") -> None:
    for task in [newcomer, *reach(newcomer, upstream=True), *reach(newcomer, upstream=False)]:
        if not task.has_dag:
            member.dag.add_task(task)


def _sort_in(upstream: "BaseOperator", downstream: "BaseOperator") -> None:
    """Make room for a link in the ranks of tasks, which rise along all links.

    Only tasks whose ranks lie between the two are looked at, and most links need nothing, because tasks are mostly
    made in the order in which they come: Pearce and Kelly, A dynamic topological sort algorithm for directed acyclic
    graphs (2007).

    Raises:
        CycleError: There is a way from `downstream` to `upstream`; no rank was changed.
    """
    low, high = downstream.rank, upstream.rank
    if high < low:
        return
    came_from = _ways(downstream, lambda task: (one for one in task.downstream.values() if one.rank <= high))
    if upstream in came_from:
        path = _traced(came_from, upstream)
        raise CycleError(downstream.task_id, " -> ".join([*path, downstream.task_id]))
    before = _ways(upstream, lambda task: (one for one in task.upstream.values() if one.rank >= low))
    moved = [*sorted(before, key=lambda task: task.rank), *sorted(came_from, key=lambda task: task.rank)]
    for task, rank in zip(moved, sorted(task.rank for task in moved), strict=True):
        task.rank = rank


def _ways(
    start: "BaseOperator", near: "Callable[[BaseOperator], Iterable[BaseOperator]]"
) -> "dict[BaseOperator, BaseOperator | None]":
    """Return all tasks that a task leads to, itself included, each with the one that it was reached from."""
    came_from: dict[BaseOperator, BaseOperator | None] = {start: None}
    pending = [start]
    while pending:
        task = pending.pop()
        for other in near(task):
            if other not in came_from:
                came_from[other] = task
                pending.append(other)
    return came_from


def _traced(came_from: "dict[BaseOperator, BaseOperator | None]", goal: "BaseOperator") -> list[str]:
    path = []
    task: BaseOperator | None = goal
    while task is not None:
        path.append(task.task_id)
        task = came_from[task]
    return path[::-1]
