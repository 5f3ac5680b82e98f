"""Clear of task instances by the page and by the API, with a limit."""

from dataclasses import dataclass

from starlette.requests import Request

from elastic.db import transitions
from elastic.db.page_queries.selection import InstanceSelection, SelectionCounts, selected_instances, selection_counts
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.scheduler.commands.clear import ClearOptions, selection_of
from elastic.web.context import context_of
from elastic.web.errors import Conflict
from elastic.web.structures import Structure

#: Maximum number of task instances that one request clears, which takes 0.6 ms of CPU for each.
MAX_CLEARED = 10_000


@dataclass(frozen=True, slots=True)
class Clearing:
    """Selection that can be cleared, with the numbers of its instances."""

    selection: InstanceSelection
    counts: SelectionCounts

    @property
    def refusal(self) -> str:
        """Why it is too large to clear, as one sentence; empty if it is not."""
        if self.counts.instances <= MAX_CLEARED:
            return ""
        return (
            f"This would clear more than {MAX_CLEARED:,} task instances of DAG {self.selection.dag_id!r}, which is the "
            "maximum of one request."
        )


#: What to do if a selection is too large.
REFUSAL_HINT = "Choose one task, fewer runs or only failed instances, or run `elastic clear` in a terminal."


def options_of(  # noqa: PLR0913 - the boxes of the form
    run: DagRun,
    *,
    task_id: str | None,
    map_index: int | None,
    past: bool,
    future: bool,
    upstream: bool,
    downstream: bool,
    only_failed: bool,
) -> ClearOptions:
    """Return the options of a clear that starts from a run: that run, the runs before it, and the runs after it."""
    return ClearOptions(
        start=None if past else run.logical_date,
        end=None if future else run.logical_date,
        task_id=task_id,
        map_index=map_index,
        upstream=upstream,
        downstream=downstream,
        only_failed=only_failed,
    )


def clearing_of(request: Request, dag_id: str, found: Structure | None, options: ClearOptions) -> Clearing:
    """Return the selection of the instances that would be cleared, counted by the database.

    Raises:
        Conflict: The structure of the DAG is not stored.
        UsageError: The structure has no such task.
    """
    if found is None:
        raise Conflict(f"The structure of DAG {dag_id!r} is not stored.", "A master stores it at its next scan.")
    selection = selection_of(found.stored.spec, options)
    counts = selection_counts(context_of(request).database, selection, limit=MAX_CLEARED + 1)
    return Clearing(selection, counts)


def first_instances(request: Request, clearing: Clearing, limit: int) -> list[TaskInstanceRow]:
    """Return the first instances of a selection."""
    return selected_instances(context_of(request).database, clearing.selection, limit=limit)


def clear_instances(request: Request, clearing: Clearing) -> list[TaskInstanceRow]:
    """Clear a selection, and return the instances with their values before.

    Raises:
        Conflict: The selection is too large.
    """
    if clearing.refusal:
        raise Conflict(clearing.refusal, REFUSAL_HINT)
    database = context_of(request).database
    found = selected_instances(database, clearing.selection, limit=MAX_CLEARED)
    return transitions.clear(database, [one.key for one in found])
