"""Delay before a retry."""

from datetime import timedelta
from hashlib import blake2b
from typing import Protocol

#: Upper bound of a delay with back-off, unless the task sets a longer one.
MAX_DELAY = timedelta(days=1)


class RetryPolicy(Protocol):
    """Retry settings of a task."""

    retry_delay: timedelta
    retry_exponential_backoff: bool
    max_retry_delay: timedelta | None
    retry_jitter: float


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
    limit = task.max_retry_delay or max(MAX_DELAY, task.retry_delay)
    seconds = task.retry_delay.total_seconds()
    if task.retry_exponential_backoff:
        # 2 ** 60 s exceeds any limit; a larger exponent would overflow a float.
        seconds *= 2.0 ** min(try_number - 2, 60)
    seconds *= 1 + task.retry_jitter * (2 * _fraction(f"{seed}/{try_number}") - 1)
    return min(timedelta(seconds=min(seconds, limit.total_seconds())), limit)


def _fraction(text: str) -> float:
    """Return a pseudo-random number from 0 to 1 that depends on the string only."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
