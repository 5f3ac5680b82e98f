"""Attempts that run on the executor, and the last known row of every task instance."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from elastic.dag.execution.retry import RetryPolicy
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.db import queries
from elastic.db.database import Database
from elastic.db.records import AttemptResult, Claim, QueueRequest, TaskInstanceRow
from elastic.executors.executor import ExecutorEvent
from elastic.scheduler.attempts.attempt_request import AttemptRequest
from elastic.scheduler.attempts.run_attempt import retry_or_fail

#: Seconds that an attempt may exceed its own time limit before the supervisor kills it.
_KILL_GRACE_SECONDS = 30.0

_ACTIVE = (TaskState.QUEUED, TaskState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAttempt:
    """Attempt that the supervisor queues and then starts on the executor."""

    request: AttemptRequest
    queue_request: QueueRequest
    #: None unless the executor reserved a process for the attempt
    claim: Claim | None = None
    #: time of the kill on the clock of `time.monotonic`; None without a time limit
    deadline: float | None = None
    #: True if a worker takes the attempt from the database
    is_left: bool = False

    @property
    def key(self) -> TaskKey:
        """The key of the task instance."""
        return self.request.info.key

    @property
    def attempt_uuid(self) -> str:
        """The id of the attempt."""
        return self.request.info.attempt_uuid

    @property
    def is_overdue(self) -> bool:
        """Whether the supervisor must kill the attempt."""
        return self.deadline is not None and self.deadline < time.monotonic()

    def left_to_workers(self) -> "RunningAttempt":
        """Return the attempt without a lease, which a worker takes."""
        queue_request = replace(self.queue_request, lease_owner=None, lease=None)
        return replace(self, queue_request=queue_request, deadline=None, is_left=True)


def deadline_after(time_limit: float | None) -> float | None:
    """Return when to kill an attempt that starts now; `time_limit` is in seconds, None for no limit."""
    return None if time_limit is None else time.monotonic() + time_limit + _KILL_GRACE_SECONDS


def lost_result(
    database: Database, task: RetryPolicy, attempt: RunningAttempt, event: ExecutorEvent
) -> AttemptResult | None:
    """Return the result of an attempt whose process ended without one; None if the attempt is over or stale.

    Args:
        database: The database.
        task: The task.
        attempt: The attempt.
        event: How its process ended.
    """
    row = queries.instance(database, attempt.key)
    if row is None or row.attempt_uuid != attempt.attempt_uuid or row.state not in _ACTIVE:
        return None
    why = event.error or "its process ended, but the attempt recorded no result"
    if attempt.is_overdue:
        why = f"it exceeded its execution_timeout and did not stop; {why}"
    failed = retry_or_fail(task, attempt.request, why, event.exit_code)
    return replace(failed, expected=row.state, callback=failed.state)


@dataclass(slots=True)
class RunningAttempts:
    """Attempts on the executor, known rows, and instances that wait before their next queue request."""

    running: dict[TaskKey, RunningAttempt] = field(default_factory=dict)
    rows: dict[TaskKey, TaskInstanceRow] = field(default_factory=dict)
    #: end of the back-off of instances that the database refused to queue, on the clock of `time.monotonic`
    _retry_at: dict[TaskKey, float] = field(default_factory=dict)

    def add(self, attempt: RunningAttempt) -> None:
        """Record that the database queued an attempt, and claimed it if a process is reserved."""
        key = attempt.key
        if not attempt.is_left:
            self.running[key] = attempt
        row, info = self.rows[key], attempt.request.info
        changes = 2 if attempt.request.is_claimed else 1
        self.rows[key] = replace(
            row, version=row.version + changes, try_number=info.try_number, attempt_uuid=info.attempt_uuid
        )

    def record_finish(self, key: TaskKey) -> None:
        """Record that the database accepted the result of an attempt."""
        row = self.rows[key]
        self.rows[key] = replace(row, version=row.version + 1)

    def overdue(self) -> list[TaskKey]:
        """Return the instances whose attempts exceed their time limit."""
        return [key for key, attempt in self.running.items() if attempt.is_overdue]

    def back_off(self, keys: Iterable[TaskKey], seconds: float) -> None:
        """Send no queue request for some instances for a while."""
        self._retry_at.update(dict.fromkeys(keys, time.monotonic() + seconds))

    def may_retry_now(self, key: TaskKey) -> bool:
        """Return whether a queue request may be sent for an instance."""
        if self._retry_at.get(key, 0.0) > time.monotonic():
            return False
        self._retry_at.pop(key, None)
        return True

    @property
    def is_backing_off(self) -> bool:
        """Whether an instance waits before its next queue request."""
        now = time.monotonic()
        return any(until > now for until in self._retry_at.values())
