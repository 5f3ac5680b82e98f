"""Failure reasons of task instances, one line each."""

from collections.abc import Mapping

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.database import Database

#: Instances whose reasons a summary shows.
_MAX_REASONS = 20


def reason_of(database: Database, key: TaskKey) -> str:
    """Return the last error line of an instance's last attempt, else the instance's note, else an empty string."""
    row = queries.instance(database, key)
    attempt = queries.attempt(database, row.attempt_uuid) if row and row.attempt_uuid else None
    text = (attempt.error if attempt else row.note if row else None) or ""
    return (text.strip().splitlines() or [""])[-1]


def reasons_of(database: Database, states: Mapping[TaskKey, TaskState | None]) -> dict[TaskKey, str]:
    """Return the failure reasons of the first failed instances, without those downstream of a failure."""
    failed = [key for key, state in states.items() if state is TaskState.FAILED]
    return {key: reason_of(database, key) for key in failed[:_MAX_REASONS]}
