"""Clear: reset task instances so that they run again."""

import datetime as dt
from dataclasses import dataclass

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import TaskInstanceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearOptions:
    """Selection of the instances to clear."""

    #: first and last logical date, both included; None for no limit
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    #: clear the tasks whose ids match; None for all
    task_regex: str | None = None
    #: clear their upstream and downstream tasks too
    upstream: bool = False
    downstream: bool = False
    #: clear only instances in state failed or upstream_failed
    only_failed: bool = False


def to_clear(database: Database, dag: DAG, options: ClearOptions) -> list[TaskInstanceRow]:
    """Return the instances that `clear` would reset: the selected instances that have a state.

    Raises:
        UsageError: The range is invalid, or no task matches the regex.
    """
    if options.start and options.end and options.end < options.start:
        raise UsageError(
            f"the range ends ({options.end:%Y-%m-%d %H:%M}) before it starts ({options.start:%Y-%m-%d %H:%M})."
        )
    part = dag
    if options.task_regex is not None:
        part = dag.sub_dag(options.task_regex, include_upstream=options.upstream, include_downstream=options.downstream)
        if not part.tasks:
            raise UsageError(
                f"DAG {dag.dag_id!r} has no task that matches {options.task_regex!r}; "
                f"`elastic tasks list {dag.dag_id}` lists them."
            )
    ids = [run.run_id for run in queries.runs(database, dag.dag_id, start=options.start, end=options.end)]
    found = queries.instances(database, dag.dag_id, ids)
    return [
        one
        for one in found
        if one.state is not None
        and (one.task_id in part or options.task_regex is None)
        and (not options.only_failed or one.state.is_failure)
    ]


def clear(database: Database, dag: DAG, options: ClearOptions) -> int:
    """Clear the selected instances and return their number."""
    return len(transitions.clear(database, [one.key for one in to_clear(database, dag, options)]))
