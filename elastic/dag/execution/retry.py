"""Retries of a task: whether a failed attempt is retried, and after which delay."""

from datetime import timedelta
from typing import Protocol

from elastic.core.backoff import Backoff

#: Upper bound of a delay with back-off, unless the task sets a longer one.
MAX_DELAY = timedelta(days=1)


class RetryPolicy(Protocol):
    """Retry settings of a task."""

    @property
    def retry_delay(self) -> timedelta: ...

    @property
    def retry_exponential_backoff(self) -> bool: ...

    @property
    def max_retry_delay(self) -> timedelta | None: ...

    @property
    def retry_jitter(self) -> float: ...


def retry_delay_of(try_number: int, max_tries: int, task: RetryPolicy, seed: str) -> timedelta | None:
    """Return the delay before the retry of a failed attempt; None if it was the last try.

    Args:
        try_number: Number of the failed attempt, from 1.
        max_tries: Number of attempts that the task instance may have.
        task: The retry settings.
        seed: See `delay_before`.
    """
    return None if try_number >= max_tries else delay_before(try_number + 1, task, seed)


def delay_before(try_number: int, task: RetryPolicy, seed: str) -> timedelta:
    """Return the time between the end of an attempt and the start of the next one.

    Args:
        try_number: Number of the next attempt, from 1. The first attempt has no delay.
        task: The settings. With back-off, the delay doubles with each attempt, up to `max_retry_delay` (a day if it is
            None). Jitter makes it shorter or longer by up to this share of itself.
        seed: Identifies the task instance, such as its key. The same seed gives the same delay, so all processes
            compute the same one.
    """
    if try_number <= 1:
        return timedelta(0)
    longest = task.max_retry_delay or max(MAX_DELAY, task.retry_delay)
    backoff = Backoff(
        first=task.retry_delay.total_seconds(),
        factor=2.0 if task.retry_exponential_backoff else 1.0,
        longest=longest.total_seconds(),
        jitter=task.retry_jitter,
    )
    return min(timedelta(seconds=backoff.delay(try_number - 1, f"{seed}/{try_number}")), longest)
