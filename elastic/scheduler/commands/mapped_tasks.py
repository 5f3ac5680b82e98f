"""Instances of mapped tasks for the output of commands: one by one or summarized."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState, state_of_copies
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.records import DagRun


def indexes_at(database: Database, task: BaseOperator, run: DagRun, map_index: int) -> list[int]:
    """Return the map indexes that a command addresses: the given index, else those of all instances."""
    if map_index >= 0 or not task.is_mapped:
        return [map_index]
    keys = queries.states(database, run.dag_id, run.run_id).items()
    found = [key.map_index for key, state in keys if key.task_id == task.task_id and state is not TaskState.REMOVED]
    return sorted(found) or [map_index]


def states_at(database: Database, run: DagRun, task_id: str, map_index: int) -> list[TaskState | None]:
    """Return the state of one instance, or of all instances of a mapped task if `map_index` is -1."""
    found = {
        key.map_index: state
        for key, state in queries.states(database, run.dag_id, run.run_id).items()
        if key.task_id == task_id
    }
    return [found[map_index]] if map_index in found else list(found.values()) if map_index < 0 else []


def states_summary(states: Sequence[TaskState | None]) -> str:
    """Return the state of a task for the output of a command, with counts if its instances differ."""
    state = state_of_copies(states)
    counted = Counter("none" if one is None else str(one) for one in states)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(counted.items()))
    return f"{state or 'none'}: {counts}" if len(counted) > 1 else str(state or "none")


def index_ranges(indexes: Iterable[int]) -> str:
    """Return map indexes as ranges: `0-4, 7`; an empty string for a task that is not mapped."""
    found = []
    for _, group in groupby(
        enumerate(sorted(index for index in indexes if index >= 0)), key=lambda pair: pair[1] - pair[0]
    ):
        run = [index for _, index in group]
        found.append(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]))
    return ", ".join(found)
