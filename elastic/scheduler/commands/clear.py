"""Clear: reset task instances so that they run again."""

import datetime as dt
from dataclasses import dataclass

from elastic.core.errors import UsageError
from elastic.db import transitions
from elastic.db.database import Database
from elastic.db.page_queries.selection import InstanceSelection, selected_instances
from elastic.db.records import TaskInstanceRow
from elastic.scheduler.decisions.dag_spec import DagSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearOptions:
    """Selection of the instances to clear."""

    #: first and last logical date, both included; None for no limit
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    #: clear the tasks whose ids match; None for all
    task_regex: str | None = None
    #: clear only this task; None for all
    task_id: str | None = None
    #: clear only this copy of `task_id`; None for all copies
    map_index: int | None = None
    #: clear their upstream and downstream tasks too
    upstream: bool = False
    downstream: bool = False
    #: clear only instances in state failed or upstream_failed
    only_failed: bool = False


def selection_of(dag: DagSpec, options: ClearOptions) -> InstanceSelection:
    """Return the selection of the instances that `clear` would reset: those with a state.

    Raises:
        UsageError: The range is invalid, or the DAG has no such task.
        DefinitionError: The regular expression is invalid.
    """
    if options.start and options.end and options.end < options.start:
        raise UsageError(
            f"the range ends ({options.end:%Y-%m-%d %H:%M}) before it starts ({options.start:%Y-%m-%d %H:%M})."
        )
    return InstanceSelection(
        dag_id=dag.dag_id,
        start=options.start,
        end=options.end,
        task_ids=_wanted(dag, options),
        task_id=options.task_id,
        map_index=options.map_index,
        only_failed=options.only_failed,
    )


def to_clear(database: Database, dag: DagSpec, options: ClearOptions) -> list[TaskInstanceRow]:
    """Return the instances that `clear` would reset.

    Raises:
        UsageError: As in `selection_of`.
        DefinitionError: As in `selection_of`.
    """
    return selected_instances(database, selection_of(dag, options))


def clear(database: Database, dag: DagSpec, options: ClearOptions) -> int:
    """Clear the selected instances and return their number."""
    return len(transitions.clear(database, [one.key for one in to_clear(database, dag, options)]))


def _wanted(dag: DagSpec, options: ClearOptions) -> frozenset[str] | None:
    """Return the ids of the tasks to clear; None for all."""
    if options.task_id is not None:
        if options.task_id not in dag.tasks:
            raise UsageError(
                f"DAG {dag.dag_id!r} has no task {options.task_id!r} in its current version; it cannot run again."
            )
        chosen = frozenset({options.task_id})
    elif options.task_regex is not None:
        chosen = dag.matching(options.task_regex)
        if not chosen:
            raise UsageError(
                f"DAG {dag.dag_id!r} has no task that matches {options.task_regex!r}; "
                f"`elastic tasks list {dag.dag_id}` lists them."
            )
    else:
        return None
    before = dag.reachable(chosen, upstream=True) if options.upstream else frozenset()
    after = dag.reachable(chosen, upstream=False) if options.downstream else frozenset()
    return chosen | before | after
