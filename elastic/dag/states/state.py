"""States of task instances and of runs."""

from collections.abc import Iterable
from enum import StrEnum


class TaskState(StrEnum):
    """State of a task instance; None before it is first evaluated."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    #: the triggerer checks the condition that the attempt waits for; the attempt holds no slot and no process
    DEFERRED = "deferred"
    #: the attempt continues later in another process; it holds no slot until then
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    SUCCESS = "success"
    FAILED = "failed"
    UP_FOR_RETRY = "up_for_retry"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"
    #: the task is no longer in the DAG
    REMOVED = "removed"

    @property
    def is_final(self) -> bool:
        """Whether the scheduler is done with the instance."""
        return self in _FINAL

    @property
    def is_success(self) -> bool:
        """Whether the instance is complete, with or without work."""
        return self in (TaskState.SUCCESS, TaskState.SKIPPED)

    @property
    def is_failure(self) -> bool:
        """Whether the instance, or one of its upstream instances, failed."""
        return self in (TaskState.FAILED, TaskState.UPSTREAM_FAILED)

    @property
    def is_active(self) -> bool:
        """Whether an executor has the instance."""
        return self in (TaskState.QUEUED, TaskState.RUNNING)

    @property
    def is_waiting(self) -> bool:
        """Whether the attempt of the instance waits without a process."""
        return self in (TaskState.DEFERRED, TaskState.UP_FOR_RESCHEDULE)

    @property
    def has_open_attempt(self) -> bool:
        """Whether the current attempt of the instance has begun and not ended."""
        return self.is_active or self.is_waiting

    @property
    def colour(self) -> str:
        """CSS colour of the state in views. The web views will use it."""
        return _COLOURS[self]


def state_of_copies(states: Iterable[TaskState | None]) -> TaskState | None:
    """Return the combined state of a mapped task: that of the copy that needs the most attention.

    It is a success when all copies are complete and at least one was not skipped. Removed copies do not count.
    """
    found = {state for state in states if state is not TaskState.REMOVED}
    return next((state for state in ATTENTION_ORDER if state in found), None)


class RunState(StrEnum):
    """State of a DAG run."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the scheduler is done with the run."""
        return self in (RunState.SUCCESS, RunState.FAILED)

    @property
    def colour(self) -> str:
        """CSS colour of the state in views. The web views will use it."""
        return _COLOURS[TaskState(self.value)]


_FINAL = frozenset(
    {TaskState.SUCCESS, TaskState.FAILED, TaskState.UPSTREAM_FAILED, TaskState.SKIPPED, TaskState.REMOVED}
)

#: States in order of the attention that they need, most first.
ATTENTION_ORDER = (
    TaskState.FAILED,
    TaskState.UPSTREAM_FAILED,
    TaskState.UP_FOR_RETRY,
    TaskState.RUNNING,
    TaskState.DEFERRED,
    TaskState.UP_FOR_RESCHEDULE,
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
    TaskState.DEFERRED: "mediumpurple",
    TaskState.UP_FOR_RESCHEDULE: "mediumpurple",
    TaskState.SUCCESS: "green",
    TaskState.FAILED: "red",
    TaskState.UP_FOR_RETRY: "gold",
    TaskState.UPSTREAM_FAILED: "orange",
    TaskState.SKIPPED: "hotpink",
    TaskState.REMOVED: "lightgrey",
}
