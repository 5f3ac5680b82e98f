"""Attempts that run on the executor, and the last known row of every task instance."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from elastic.dag.ids import TaskKey
from elastic.db.records import Claim, QueueRequest, TaskInstanceRow
from elastic.scheduler.attempts.attempt_request import AttemptRequest

#: Seconds that an attempt may exceed its own time limit before the supervisor kills it.
_KILL_GRACE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningAttempt:
    """Attempt that the supervisor queues and then starts on the executor."""

    request: AttemptRequest
    queue_request: QueueRequest
    #: None unless the executor reserved a process for the attempt
    claim: Claim | None = None
    #: time of the kill on the clock of `time.monotonic`; None without a time limit
    deadline: float | None = None

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


def deadline_after(time_limit: float | None) -> float | None:
    """Return when to kill an attempt that starts now; `time_limit` is in seconds, None for no limit."""
    return None if time_limit is None else time.monotonic() + time_limit + _KILL_GRACE_SECONDS


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
        self.running[key] = attempt
        row = self.rows[key]
        changes = 2 if attempt.request.is_claimed else 1
        self.rows[key] = replace(row, version=row.version + changes, try_number=row.try_number + 1)

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
