"""States of task instances and of runs."""

from collections.abc import Iterable
from enum import StrEnum


class TaskState(StrEnum):
    """How far a task instance is. One that nobody has looked at has no state (None)."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    UP_FOR_RETRY = "up_for_retry"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"
    #: the task is no longer in the DAG
    REMOVED = "removed"

    @property
    def is_final(self) -> bool:
        """Nothing more happens to the instance by itself."""
        return self in _FINAL

    @property
    def is_success(self) -> bool:
        """The instance is complete, with or without work."""
        return self in (TaskState.SUCCESS, TaskState.SKIPPED)

    @property
    def is_failure(self) -> bool:
        """The instance failed, or one before it did."""
        return self in (TaskState.FAILED, TaskState.UPSTREAM_FAILED)

    @property
    def is_active(self) -> bool:
        """The instance is with an executor."""
        return self in (TaskState.QUEUED, TaskState.RUNNING)

    @property
    def colour(self) -> str:
        """The CSS colour in which the state is shown."""
        return _COLOURS[self]


def state_of_copies(states: Iterable[TaskState | None]) -> TaskState | None:
    """Return the state of a mapped task as a whole: that of the copy that needs the most attention.

    It is a success when all copies are complete and at least one of them did its work. Copies that are no longer in
    the DAG do not count.
    """
    found = {state for state in states if state is not TaskState.REMOVED}
    return next((state for state in _ATTENTION if state in found), None)


class RunState(StrEnum):
    """How far the run of a DAG for a logical date is."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Nothing more happens to the run by itself."""
        return self in (RunState.SUCCESS, RunState.FAILED)

    @property
    def colour(self) -> str:
        """The CSS colour in which the state is shown."""
        return _COLOURS[TaskState(self.value)]


_FINAL = frozenset(
    {TaskState.SUCCESS, TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED, TaskState.REMOVED}
)

#: From what needs the most attention to what needs none.
_ATTENTION = (
    TaskState.FAILED,
    TaskState.UPSTREAM_FAILED,
    TaskState.UP_FOR_RETRY,
    TaskState.RUNNING,
    TaskState.QUEUED,
    TaskState.SCHEDULED,
    None,
    TaskState.SUCCESS,
    TaskState.SKIPPED,
)

_COLOURS = {
    TaskState.SCHEDULED: "tan",
    TaskState.QUEUED: "grey",
    TaskState.RUNNING: "lime",
    TaskState.SUCCESS: "green",
    TaskState.FAILED: "red",
    TaskState.UP_FOR_RETRY: "gold",
    TaskState.UPSTREAM_FAILED: "orange",
    TaskState.SKIPPED: "hotpink",
    TaskState.REMOVED: "lightgrey",
}
