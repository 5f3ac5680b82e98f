"""Links between tasks: who comes before whom."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

from elastic.dag.errors import CycleError, DefinitionError, DuplicateLinkError, DuplicateTaskError, ForeignTaskError

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator

    #: What may stand on either side of an arrow.
    Linked: TypeAlias = "Linkable | Sequence[Linkable]"

Other = TypeVar("Other")


class Linkable:
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
                    link(upstream, downstream)

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

    def __rrshift__(self, other: "Linked") -> "Linkable":
        self.set_upstream(other)
        return self

    def __rlshift__(self, other: "Linked") -> "Linkable":
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


def link(upstream: "BaseOperator", downstream: "BaseOperator", *, implied: bool = False) -> None:
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
    path = _path(downstream, upstream)
    if path:
        raise CycleError(downstream.task_id, " -> ".join([*path, downstream.task_id]))
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


def _each(linked: Any) -> "Iterable[Linkable]":
    for one in [linked] if isinstance(linked, Linkable) else linked if isinstance(linked, Iterable) else [linked]:
        if not isinstance(one, Linkable):
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


def _path(start: "BaseOperator", goal: "BaseOperator") -> list[str]:
    """Return the ids on a way downstream from `start` to `goal`, both included; none if there is no way."""
    if start is goal:
        return [start.task_id]
    # Most links lead to a new task: then nothing needs to be searched.
    if not start.downstream or not goal.upstream:
        return []
    came_from = {start.task_id: ""}
    pending = [start]
    while pending:
        task = pending.pop()
        for task_id, other in task.downstream.items():
            if task_id in came_from:
                continue
            came_from[task_id] = task.task_id
            if other is goal:
                return _traced(came_from, task_id)
            pending.append(other)
    return []


def _traced(came_from: dict[str, str], task_id: str) -> list[str]:
    path = []
    while task_id:
        path.append(task_id)
        task_id = came_from[task_id]
    return path[::-1]
