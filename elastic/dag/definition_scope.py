"""The DAG, the group and the file that are being defined right now."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.task_group import TaskGroup

#: The DAGs whose `with` blocks are open, the innermost last.
open_dags: "ContextVar[tuple[DAG, ...]]" = ContextVar("open_dags", default=())
#: The groups whose `with` blocks are open, the innermost last.
open_groups: "ContextVar[tuple[TaskGroup, ...]]" = ContextVar("open_groups", default=())
#: Where DAGs that have a block, or a decorated function, are noted while a file is being loaded.
_collected: "ContextVar[list[DAG] | None]" = ContextVar("collected", default=None)


def current_dag() -> "DAG | None":
    """Return the DAG whose `with` block is open, the innermost."""
    dags = open_dags.get()
    return dags[-1] if dags else None


def current_group() -> "TaskGroup | None":
    """Return the group whose `with` block is open, the innermost."""
    groups = open_groups.get()
    return groups[-1] if groups else None


@contextmanager
def collect_dags() -> "Iterator[list[DAG]]":
    """Collect the DAGs that are made meanwhile and that no variable of the file may name."""
    found: list[DAG] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def register(dag: "DAG") -> None:
    """Note a DAG, if a file is being loaded."""
    found = _collected.get()
    if found is not None:
        found.append(dag)


_detached: ContextVar[bool] = ContextVar("without_registration", default=False)


@contextmanager
def without_registration() -> Iterator[None]:
    """Make tasks that know their DAG and that the DAG does not know: copies of a mapped task."""
    token = _detached.set(True)
    try:
        yield
    finally:
        _detached.reset(token)


def is_detached() -> bool:
    """Say whether tasks are being made that no DAG is to know."""
    return _detached.get()
