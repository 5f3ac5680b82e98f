"""Rows of the grid of a DAG: its tasks in topological order, with their groups, from the stored structure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from elastic.dag.serialized_dag import SerializedDag, SerializedTask
from elastic.dag.states.state import TaskState, state_of_copies


@dataclass(frozen=True, slots=True, kw_only=True)
class GridRow:
    """Row of the grid: a task or a group."""

    #: id of the task or of the group
    row_id: str
    #: the id without that of its group
    label: str
    depth: int
    is_group: bool = False
    is_mapped: bool = False
    #: whether only older versions of the DAG have the task
    is_gone: bool = False
    #: enclosing groups, innermost first
    groups: tuple[str, ...] = ()
    #: names and values in the tooltip
    facts: Mapping[str, Any] = field(default_factory=dict)


def topological(dag: SerializedDag) -> list[str]:
    """Return the ids of the tasks in topological order; tasks on the same level keep the stored order.

    The tasks of a cycle, which only a damaged structure has, come last.
    """
    missing = {task_id: len(task.upstream) for task_id, task in dag.tasks.items()}
    level = [task_id for task_id, count in missing.items() if not count]
    found: dict[str, None] = {}
    while level:
        found.update(dict.fromkeys(level))
        following = []
        for task_id in level:
            for one in dag.tasks[task_id].downstream:
                missing[one] -= 1
                if not missing[one]:
                    following.append(one)
        level = following
    found.update(dict.fromkeys(dag.tasks))
    return list(found)


def grid_rows(dag: SerializedDag) -> list[GridRow]:
    """Return the rows of a DAG. A group takes the place of its first task, with all its tasks below it."""
    parents = _parents(dag.fields["groups"])
    children: dict[str | None, dict[tuple[bool, str], None]] = {}
    for task_id in topological(dag):
        group = dag.tasks[task_id].fields["group"]
        child, inside = (False, task_id), group if group in parents else None
        while True:
            children.setdefault(inside, {})[child] = None
            if inside is None:
                break
            child, inside = (True, inside), parents[inside]
    return list(_rows(dag, children, ()))


def gone_rows(rows: Iterable[GridRow], task_ids: Iterable[str]) -> list[GridRow]:
    """Return rows for tasks of runs that the structure does not contain."""
    known = {row.row_id for row in rows if not row.is_group}
    return [GridRow(row_id=one, label=one, depth=0, is_gone=True) for one in sorted(set(task_ids)) if one not in known]


def rows_below(dag: SerializedDag, rows: Sequence[GridRow], root: str) -> list[GridRow] | None:
    """Return the rows of a group, or of a task with all upstream and downstream tasks; None if the id is unknown."""
    if root in dag.tasks:
        wanted = {root, *_reachable(dag, root, "upstream"), *_reachable(dag, root, "downstream")}
    elif any(row.is_group and row.row_id == root for row in rows):
        wanted = {row.row_id for row in rows if not row.is_group and root in row.groups}
    else:
        return None
    return with_groups(rows, wanted)


def with_groups(rows: Sequence[GridRow], task_ids: Iterable[str]) -> list[GridRow]:
    """Return the rows of some tasks and of the groups around them."""
    wanted = set(task_ids)
    groups = {group for row in rows if row.row_id in wanted and not row.is_group for group in row.groups}
    return [row for row in rows if row.row_id in (groups if row.is_group else wanted)]


def row_states(rows: Sequence[GridRow], states: Mapping[str, TaskState | None]) -> list[TaskState | str | None]:
    """Return the state of each row in one run; an empty string where the run has no such task.

    Args:
        rows: The rows; each group comes before its tasks.
        states: States by task.
    """
    of_groups: dict[str, list[TaskState | None]] = {}
    for row in rows:
        if not row.is_group and row.row_id in states:
            for group in row.groups:
                of_groups.setdefault(group, []).append(states[row.row_id])
    return [
        (state_of_copies(of_groups[row.row_id]) if row.row_id in of_groups else "")
        if row.is_group
        else states.get(row.row_id, "")
        for row in rows
    ]


def _rows(
    dag: SerializedDag, children: Mapping[str | None, Mapping[tuple[bool, str], None]], groups: tuple[str, ...]
) -> Iterator[GridRow]:
    group = groups[0] if groups else None
    for is_group, row_id in children.get(group, ()):
        label = row_id.removeprefix(f"{group}.") if group else row_id
        if is_group:
            yield GridRow(row_id=row_id, label=label, depth=len(groups), is_group=True, groups=groups)
            yield from _rows(dag, children, (row_id, *groups))
        else:
            task = dag.tasks[row_id]
            yield GridRow(
                row_id=row_id,
                label=label,
                depth=len(groups),
                is_mapped=task.fields["is_mapped"],
                groups=groups,
                facts=_facts(task),
            )


def _facts(task: SerializedTask) -> dict[str, Any]:
    fields = task.fields
    return {
        "operator": fields["operator_type"],
        "owner": fields["owner"],
        "upstream": list(task.upstream),
        "trigger rule": fields["trigger_rule"],
        "retries": fields["retries"],
        "depends on past": fields["depends_on_past"],
        "pool": fields["pool"],
        "queue": fields["queue"],
    }


def _parents(groups: Sequence[str]) -> dict[str, str | None]:
    """Return the parent of each group: the group with the longest id that is a prefix of its own."""
    known = set(groups)
    found: dict[str, str | None] = {}
    for group in groups:
        parts = group.split(".")
        prefixes = (".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1))
        found[group] = next((prefix for prefix in prefixes if prefix in known), None)
    return found


def _reachable(dag: SerializedDag, task_id: str, direction: str) -> set[str]:
    found: set[str] = set()
    pending = [task_id]
    while pending:
        fresh = [one for one in getattr(dag.tasks[pending.pop()], direction) if one not in found]
        found.update(fresh)
        pending += fresh
    return found
