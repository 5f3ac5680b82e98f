"""Clear: make task instances as if they had never run."""

import datetime as dt
from dataclasses import dataclass

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.db import queries as reading
from elastic.db import transitions as transition
from elastic.db.database import Database
from elastic.db.records import TaskInstanceRow


@dataclass(frozen=True, slots=True, kw_only=True)
class ClearWishes:
    """Which instances are meant."""

    #: logical dates, both included; None for no limit
    start: dt.datetime | None = None
    end: dt.datetime | None = None
    #: tasks whose ids match; None for all
    task_regex: str | None = None
    #: those before them and after them too
    upstream: bool = False
    downstream: bool = False
    #: only those that failed, or after a failure
    only_failed: bool = False


def to_clear(database: Database, dag: DAG, wishes: ClearWishes) -> list[TaskInstanceRow]:
    """Return the instances that a clear would touch: those that have a state.

    Raises:
        UsageError: The range or the regex cannot be.
    """
    if wishes.start and wishes.end and wishes.end < wishes.start:
        raise UsageError(
            f"the range ends ({wishes.end:%Y-%m-%d %H:%M}) before it starts ({wishes.start:%Y-%m-%d %H:%M})."
        )
    part = dag
    if wishes.task_regex is not None:
        part = dag.sub_dag(wishes.task_regex, include_upstream=wishes.upstream, include_downstream=wishes.downstream)
        if not part.tasks:
            raise UsageError(
                f"DAG {dag.dag_id!r} has no task that matches {wishes.task_regex!r}; "
                f"`elastic tasks list {dag.dag_id}` shows what there is."
            )
    ids = [run.run_id for run in reading.runs(database, dag.dag_id, start=wishes.start, end=wishes.end)]
    found = reading.instances(database, dag.dag_id, ids)
    return [
        one
        for one in found
        if one.state is not None
        and (one.task_id in part or wishes.task_regex is None)
        and (not wishes.only_failed or one.state.is_failure)
    ]


def clear(database: Database, dag: DAG, wishes: ClearWishes) -> int:
    """Clear instances and return how many there were."""
    return len(transition.clear(database, [one.key for one in to_clear(database, dag, wishes)]))
