"""What a supervisor has in hand: the attempts that its executor runs, and what it knows of the rows of all others."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from elastic.dag.ids import TaskKey
from elastic.db.records import TaskInstanceRow
from elastic.scheduler.attempts.attempt_request import AttemptRequest

#: Seconds that an attempt may take longer than its time limit, which it watches itself, before it is killed.
_KILL_GRACE_SECONDS = 30.0


@dataclass(slots=True)
class RowVersion:
    """What is known of the row of an instance."""

    version: int
    try_number: int
    max_tries: int
    flow_run_id: str | None

    @classmethod
    def of(cls, instance: TaskInstanceRow) -> "RowVersion":
        """Return what a row says."""
        return cls(instance.version, instance.try_number, instance.max_tries, instance.flow_run_id)


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """An attempt that the executor has."""

    order: AttemptRequest
    #: when it has to be killed, by the clock of `time.monotonic`; None for never
    deadline: float | None = None

    @classmethod
    def of(cls, order: AttemptRequest, time_limit: float | None) -> "RunningAttempt":
        """Return an attempt that is about to begin; `time_limit` is in seconds."""
        return cls(order, None if time_limit is None else time.monotonic() + time_limit + _KILL_GRACE_SECONDS)

    @property
    def is_overdue(self) -> bool:
        """Whether it has to be killed because it takes too long."""
        return self.deadline is not None and self.deadline < time.monotonic()

    @property
    def attempt_uuid(self) -> str:
        """The attempt."""
        return self.order.facts.attempt_uuid


@dataclass(slots=True)
class RunningAttempts:
    """All attempts that the executor has, and all rows that are known."""

    held: dict[TaskKey, RunningAttempt] = field(default_factory=dict)
    rows: dict[TaskKey, RowVersion] = field(default_factory=dict)
    #: keys that were refused, and until when they are not asked for again, by the clock of `time.monotonic`
    _refused: dict[TaskKey, float] = field(default_factory=dict)

    def take(self, key: TaskKey, hand: RunningAttempt) -> None:
        """Note that an attempt was queued, and claimed if a process was named."""
        self.held[key] = hand
        row = self.rows[key]
        row.version += 2 if hand.order.is_claimed else 1
        row.try_number += 1

    def overdue(self) -> list[TaskKey]:
        """Return what has to be killed because it takes too long."""
        return [key for key, hand in self.held.items() if hand.is_overdue]

    def refuse(self, keys: Iterable[TaskKey], seconds: float) -> None:
        """Do not ask for some instances for a while."""
        self._refused.update(dict.fromkeys(keys, time.monotonic() + seconds))

    def may_ask(self, key: TaskKey) -> bool:
        """Say whether an instance may be asked for."""
        if self._refused.get(key, 0.0) > time.monotonic():
            return False
        self._refused.pop(key, None)
        return True

    @property
    def waits(self) -> bool:
        """Whether there is something that was refused a moment ago."""
        now = time.monotonic()
        return any(until > now for until in self._refused.values())
