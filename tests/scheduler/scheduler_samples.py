"""Inputs for tests of decisions."""

import datetime as dt
from typing import Any

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.scheduler.decisions.inputs import DecisionInput, Overrides, TaskSpec
from elastic.scheduler.decisions.run_states import RunSpec
from elastic.scheduler.decisions.run_tracker import RunTracker

DAY = dt.datetime(2016, 2, 22, tzinfo=dt.UTC)
NOW = dt.datetime(2016, 3, 22, tzinfo=dt.UTC)


def task_spec(task_id: str = "load", *upstream: str, **changes: Any) -> TaskSpec:
    return TaskSpec(task_id=task_id, upstream=upstream, **changes)


def linked(*tasks: TaskSpec) -> list[TaskSpec]:
    """Return task specs with their downstream tasks set."""
    from dataclasses import replace

    after = {task.task_id: tuple(one.task_id for one in tasks if task.task_id in one.upstream) for task in tasks}
    return [replace(task, downstream=after[task.task_id]) for task in tasks]


def run_spec(day: int = 0, **changes: Any) -> RunSpec:
    date = DAY + dt.timedelta(days=day)
    values: dict[str, Any] = {
        "dag_id": "etl",
        "run_id": f"run{day}",
        "logical_date": date,
        "interval_end": date + dt.timedelta(days=1),
    }
    return RunSpec(**{**values, **changes})


def decision_input(**changes: Any) -> DecisionInput:
    values: dict[str, Any] = {
        "key": key_of("load"),
        "task": task_spec(),
        "state": None,
        "logical_date": DAY,
        "interval_end": DAY + dt.timedelta(days=1),
        "now": NOW,
    }
    return DecisionInput(**{**values, **changes})


def key_of(task_id: str, day: int = 0, map_index: int = -1) -> TaskKey:
    return TaskKey("etl", f"run{day}", task_id, map_index)


def tracker_of(*tasks: TaskSpec, days: int = 1, **overrides: bool) -> RunTracker:
    runs = [run_spec(day, previous=f"run{day - 1}" if day else None) for day in range(days)]
    tracker = RunTracker(runs, linked(*tasks), Overrides(**overrides))
    for run in runs:
        tracker.begin(run.run_id)
    return tracker


def ready(tracker: RunTracker, now: dt.datetime = NOW) -> list[str]:
    """Set the states of resolved instances, and return the names of the ready ones."""
    while found := tracker.next_changes(now).resolved:
        for key, state, _ in found:
            tracker.set_state(key, state)
    return [_name(one.key) for one in tracker.next_changes(now).ready]


def _name(key: TaskKey) -> str:
    copy = f"[{key.map_index}]" if key.map_index >= 0 else ""
    return f"{key.run_id}.{key.task_id}{copy}" if key.run_id != "run0" else f"{key.task_id}{copy}"


def succeed(tracker: RunTracker, *keys: TaskKey) -> None:
    for key in keys:
        tracker.set_state(key, TaskState.SUCCESS)
