"""From rows to values."""

import json
from typing import Any

from elastic.dag.state import RunState, TaskState
from elastic.db.value import Attempt, Event, Instance, LogLine, Run, RunAttempt, RunMode, RunType


def run_of(row: Any) -> Run:
    """Return the value of a row of dag_run."""
    fields = dict(row._mapping)
    return Run(
        **{
            **fields,
            "run_type": RunType(row.run_type),
            "state": RunState(row.state),
            "conf": json.loads(row.conf),
        }
    )


def run_attempt_of(row: Any) -> RunAttempt:
    """Return the value of a row of dag_run_attempt."""
    return RunAttempt(**{**row._mapping, "mode": RunMode(row.mode), "state": RunState(row.state)})


def instance_of(row: Any) -> Instance:
    """Return the value of a row of task_instance."""
    state = row.state
    return Instance(**{**row._mapping, "state": None if state is None else TaskState(state)})


def attempt_of(row: Any) -> Attempt:
    """Return the value of a row of task_attempt."""
    return Attempt(**{**row._mapping, "state": TaskState(row.state)})


def event_of(row: Any) -> Event:
    """Return the value of a row of log."""
    return Event(**{name: value for name, value in row._mapping.items() if name != "id"})


def line_of(row: Any) -> LogLine:
    """Return the value of a row of log_line."""
    return LogLine(**{name: value for name, value in row._mapping.items() if name != "id"})
