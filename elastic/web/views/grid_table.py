"""Grid of a DAG for templates and its script: columns of runs, bytes of cells, and the table without JavaScript."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elastic.dag.states.state import TaskState
from elastic.db.page_queries.grid import RunCells, RunHeader
from elastic.web.views import times
from elastic.web.views.grid_rows import GridRow, row_states
from elastic.web.views.state_bytes import ABSENT, attention, byte_of, looks

#: Kinds of rows in the script.
_GROUP, _TASK, _GONE = 0, 1, 2
#: Maximum number of upstream tasks in a tooltip.
_MAX_NAMES = 8
#: Usual values, which a tooltip omits.
_USUAL = {"trigger rule": "all_success", "retries": 0, "depends on past": False, "pool": "default", "queue": "default"}


@dataclass(frozen=True, slots=True)
class TableRow:
    """Row of the table: the row of the grid, and the state in each run; an empty string if the run has no such task."""

    row: GridRow
    states: tuple[TaskState | str | None, ...]


def table_rows(rows: Sequence[GridRow], cells: RunCells, run_ids: Sequence[str]) -> list[TableRow]:
    """Return the rows of the table."""
    by_run = [row_states(rows, cells.states.get(run_id, {})) for run_id in run_ids]
    return [TableRow(row, tuple(states[at] for states in by_run)) for at, row in enumerate(rows)]


def failed_rows(rows: Sequence[TableRow]) -> list[TableRow]:
    """Return the rows with a failure or a pending retry."""
    return [one for one in rows if any(_is_failed(state) for state in one.states)]


def cell_bytes(task_ids: Sequence[str], cells: RunCells, run_ids: Sequence[str]) -> bytes:
    """Return one byte per task and run, task by task."""
    count = len(run_ids)
    found = bytearray(len(task_ids) * count)
    codes: dict[TaskState | None, int] = {None: byte_of(None), **{state: byte_of(state) for state in TaskState}}
    for column, run_id in enumerate(run_ids):
        states = cells.states.get(run_id)
        if states:
            found[column::count] = bytes(codes[states[one]] if one in states else ABSENT for one in task_ids)
    return bytes(found)


def rows_json(rows: Sequence[GridRow], digest: str) -> dict[str, Any]:
    """Return the rows as JSON values for the script."""
    return {
        "digest": digest,
        "looks": looks(),
        "attention": attention(),
        "rows": [
            {
                "id": row.row_id,
                "label": row.label,
                "depth": row.depth,
                "kind": _GROUP if row.is_group else _GONE if row.is_gone else _TASK,
                "groups": row.groups,
                "facts": shown_facts(row.facts),
            }
            for row in rows
        ],
    }


def shown_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of the properties of a task that differ from the usual ones."""
    shown = []
    for name, value in facts.items():
        if name in _USUAL and _USUAL[name] == value:
            continue
        if isinstance(value, list):
            rest = f" and {len(value) - _MAX_NAMES:,} more" if len(value) > _MAX_NAMES else ""
            value = (", ".join(value[:_MAX_NAMES]) + rest) or "no task"
        shown.append((name, "yes" if value is True else str(value)))
    return shown


def run_json(run: RunHeader, version: int | None, zone: dt.tzinfo) -> dict[str, Any]:
    """Return the column of a run as JSON values for the script."""
    date = times.local_time(run.logical_date, zone)
    return {
        "id": run.run_id,
        "label": f"{date.day} {date:%b}",
        "title": times.full_time(run.logical_date, zone),
        "state": byte_of(run.state),
        "is_final": run.state.is_final,
        "type": str(run.run_type),
        "version": version,
        "seconds": seconds_of(run),
    }


def seconds_of(run: RunHeader) -> float | None:
    """Return the duration of a run that ended, or None."""
    if run.started_at is None or run.ended_at is None:
        return None
    return max(0.0, (run.ended_at - run.started_at).total_seconds())


def _is_failed(state: TaskState | str | None) -> bool:
    return isinstance(state, TaskState) and (state.is_failure or state is TaskState.UP_FOR_RETRY)
