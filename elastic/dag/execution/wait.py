"""Waits of attempts: what an attempt waits for after it left its process, and what follows from a check. No I/O."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from elastic.core.backoff import Backoff

#: Kind of a wait whose condition user code checks, in a process of the attempt.
POKE_KIND = "poke"

#: Seconds of a check, unless the task has an `execution_timeout`.
CHECK_TIMEOUT = 30.0

#: Shortest delay between two checks (seconds).
_MIN_DELAY = 0.01


class WaitMode(StrEnum):
    """How a sensor waits."""

    #: in the process of the attempt, which holds its slots all the time
    POKE = "poke"
    #: without a process: each check is a short process of the attempt
    RESCHEDULE = "reschedule"
    #: without a process: a triggerer checks
    DEFER = "defer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Answer to the question whether a condition holds."""

    done: bool
    #: value for later tasks; JSON, or None
    value: Any = None
    #: why the condition does not hold yet, or how it came true; one sentence without a full stop
    reason: str = ""
    #: seconds until a check can have another answer; None if that is unknown
    check_in: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitSettings:
    """Settings of a wait. They are stored with it, so that the wait goes on without the DAG file."""

    #: seconds between checks; with back-off, the delay doubles after each check, up to `max_wait`
    interval: float = 5.0
    exponential_backoff: bool = False
    max_wait: float | None = None
    #: seconds that the whole wait may take; None for no limit
    timeout: float | None = None
    #: seconds that one check may take
    check_timeout: float = CHECK_TIMEOUT
    #: checks in a row that may fail before the attempt fails
    silent_errors: int = 0
    #: end as skipped instead of failed
    soft_fail: bool = False
    #: pass the value of the answer to later tasks
    pushes_value: bool = True
    #: continue in a process after the condition came true, because the attempt has more work
    continues: bool = False
    #: seconds until the retry of a failed attempt; None if there is none
    retry_in: float | None = None
    #: states for which the task has callbacks
    callbacks: tuple[str, ...] = ()
    #: log file of the attempt, relative to the folder of logs
    log_path: str = ""
    #: number of the rerun of the DAG run
    run_attempt: int = 1

    def delay_after(self, checks: int) -> float:
        """Return the seconds between a check and the next one, by the number of checks so far."""
        if not self.exponential_backoff:
            return self.interval
        longest = self.max_wait if self.max_wait is not None else float("inf")
        return Backoff(first=self.interval, longest=max(longest, self.interval)).delay(max(1, checks))

    def as_json(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_json(cls, text: str) -> "WaitSettings":
        """Return stored settings."""
        found = json.loads(text)
        return cls(**{**found, "callbacks": tuple(found["callbacks"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitProgress:
    """Checks of a wait so far."""

    checks: int = 0
    #: checks in a row that failed
    errors: int = 0
    #: result of the last check; one sentence
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitRequest:
    """Request of an attempt to wait without a process."""

    settings: WaitSettings
    progress: WaitProgress
    #: kind of the trigger that the triggerer checks; `POKE_KIND` if the attempt itself checks
    kind: str = POKE_KIND
    #: arguments of the trigger
    arguments: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: checks with the same connection share a limit
    connection: str | None = None
    #: seconds until the next check
    check_in: float = 0.0
    #: number of the process of the attempt, from 0; a stale process has an old one
    slice: int = 0
    mode: WaitMode = WaitMode.DEFER


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Stored wait of an attempt, by the clock of the database."""

    attempt_uuid: str
    kind: str
    started_at: datetime
    #: None for no limit
    deadline: datetime | None
    #: None after the condition came true
    next_check_at: datetime | None
    settings: WaitSettings
    progress: WaitProgress
    slice: int
    last_checked_at: datetime | None = None
    #: why the condition holds, once it does
    answer: Answer | None = None


@dataclass(frozen=True, slots=True)
class CheckFailure:
    """Check that has no answer, because it raised an error."""

    #: one sentence
    reason: str
    #: True if no later check can have an answer
    is_permanent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep:
    """Consequence of a check: the wait goes on, or the attempt ends."""

    progress: WaitProgress
    #: seconds until the next check; None if the wait ends
    check_in: float | None = None
    #: the condition holds
    answer: Answer | None = None
    #: why the attempt fails; one sentence
    failure: str = ""
    #: True if the attempt fails without a retry
    is_permanent: bool = False
    #: True if the attempt fails because the condition did not come true in time
    is_timeout: bool = False


def after_check(
    settings: WaitSettings, before: WaitProgress, result: Answer | CheckFailure, seconds_left: float | None
) -> WaitStep:
    """Return what follows from a check.

    Args:
        settings: Settings of the wait.
        before: The checks before this one.
        result: The answer, or why there is none.
        seconds_left: Seconds until the deadline; None without one.
    """
    checks = before.checks + 1
    if isinstance(result, CheckFailure):
        errors = before.errors + 1
        progress = WaitProgress(checks=checks, errors=errors, reason=f"the check failed: {result.reason}")
        if result.is_permanent or errors > settings.silent_errors:
            row = f" ({errors} checks in a row failed; silent_errors={settings.silent_errors})"
            failure = f"{result.reason}{row if settings.silent_errors and not result.is_permanent else ''}"
            return WaitStep(progress=progress, failure=failure, is_permanent=result.is_permanent)
        delay = settings.delay_after(checks)
    else:
        progress = WaitProgress(checks=checks, reason=result.reason)
        if result.done:
            return WaitStep(progress=progress, answer=result)
        delay = settings.delay_after(checks) if result.check_in is None else result.check_in
    if seconds_left is not None:
        if seconds_left <= 0:
            return WaitStep(progress=progress, failure=timeout_message(settings, progress), is_timeout=True)
        # The last check comes at the deadline, and not an interval after it.
        delay = min(delay, seconds_left)
    return WaitStep(progress=progress, check_in=max(delay, _MIN_DELAY))


def timeout_message(settings: WaitSettings, progress: WaitProgress) -> str:
    """Return the sentence about a wait that reached its time-out."""
    last = f"; the last of {counted_checks(progress.checks)} said: {progress.reason}" if progress.reason else ""
    return f"the sensor timed out, because its timeout of {settings.timeout or 0:g} s has passed{last}."


def counted_checks(count: int) -> str:
    """Return a number of checks in words."""
    return f"{count:,} {'check' if count == 1 else 'checks'}"


def is_worth_a_line(checks: int) -> bool:
    """Return whether the log has a line about a check: the 1st, 2nd, 4th, 8th and so on."""
    return checks & (checks - 1) == 0


@dataclass(slots=True)
class WaitServices:
    """Services for a task that waits: how it may wait, and its wait so far. `waiting` in the context."""

    #: access of triggers to other systems: `elastic.triggers.TriggerTools`
    tools: Any = None
    #: the least costly way of waiting that is possible
    mode: WaitMode = WaitMode.POKE
    #: the stored wait, if the attempt has had a process before
    wait: Wait | None = None
    #: the time by the clock of the database when this process began, and on the clock of `time.monotonic`
    began_at: datetime | None = None
    began: float = field(default_factory=time.monotonic)

    def seconds_left(self, timeout: float | None) -> float | None:
        """Return the seconds until the deadline of a wait; None without one.

        Args:
            timeout: Seconds of the whole wait, if this is the first process of the attempt.
        """
        elapsed = time.monotonic() - self.began
        if self.wait is None:
            return None if timeout is None else timeout - elapsed
        left = seconds_left(self.wait.deadline, self.began_at or self.wait.started_at)
        return None if left is None else left - elapsed


def seconds_left(deadline: datetime | None, now: datetime) -> float | None:
    """Return the seconds until a deadline; None without one."""
    return None if deadline is None else (deadline - now) / timedelta(seconds=1)
