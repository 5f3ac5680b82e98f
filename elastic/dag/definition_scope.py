"""Context variables of a definition: the DAG, the group and the DAG file that are being defined."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from elastic.dag.protocols import DagLike, GroupLike

#: DAGs with an open `with` block, the innermost last.
open_dags: ContextVar[tuple[DagLike, ...]] = ContextVar("open_dags", default=())
#: Groups with an open `with` block, the innermost last.
open_groups: ContextVar[tuple[GroupLike, ...]] = ContextVar("open_groups", default=())
#: DAGs registered while a DAG file is loaded; None outside.
_collected: ContextVar[list[DagLike] | None] = ContextVar("collected", default=None)


def current_dag() -> DagLike | None:
    """Return the DAG of the innermost open `with` block."""
    dags = open_dags.get()
    return dags[-1] if dags else None


def current_group() -> GroupLike | None:
    """Return the group of the innermost open `with` block."""
    groups = open_groups.get()
    return groups[-1] if groups else None


@contextmanager
def collect_dags() -> Iterator[list[DagLike]]:
    """Collect the DAGs that are registered in the block: those that no variable of the file may name."""
    found: list[DagLike] = []
    token = _collected.set(found)
    try:
        yield found
    finally:
        _collected.reset(token)


def register(dag: DagLike) -> None:
    """Add a DAG to the file that is being loaded, if any."""
    found = _collected.get()
    if found is not None:
        found.append(dag)


_detached: ContextVar[bool] = ContextVar("without_registration", default=False)


@contextmanager
def without_registration() -> Iterator[None]:
    """Create tasks that refer to their DAG but are not added to it: copies of a mapped task."""
    token = _detached.set(True)
    try:
        yield
    finally:
        _detached.reset(token)


def is_detached() -> bool:
    """Return whether new tasks stay out of their DAG."""
    return _detached.get()
