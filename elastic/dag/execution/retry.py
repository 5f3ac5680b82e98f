"""How long to wait before a try."""

from datetime import timedelta
from hashlib import blake2b
from typing import Protocol

#: No wait is longer than this, whatever the back-off, unless the task itself says more.
LONGEST_DELAY = timedelta(days=1)


class RetryPolicy(Protocol):
    """What a task says about its tries."""

    retry_delay: timedelta
    retry_exponential_backoff: bool
    max_retry_delay: timedelta | None
    retry_jitter: float


def delay_before(try_number: int, task: RetryPolicy, seed: str) -> timedelta:
    """Return the time between the end of a try and the start of the next one.

    Args:
        try_number: The try that is to come; the first try is 1 and waits for nothing.
        task: With back-off, the delay doubles with each try, up to `max_retry_delay` (a day where it is None). With
            jitter, it is shorter or longer by up to that part of itself.
        seed: What tells this instance from others, such as its key: the same seed gives the same delay, so that
            whoever asks, and however often, gets one answer.
    """
    if try_number <= 1:
        return timedelta(0)
    longest = task.max_retry_delay or max(LONGEST_DELAY, task.retry_delay)
    seconds = task.retry_delay.total_seconds()
    if task.retry_exponential_backoff:
        # 2 ** 60 s is longer than any limit; a greater power would not fit a float
        seconds *= 2.0 ** min(try_number - 2, 60)
    seconds *= 1 + task.retry_jitter * (2 * _share(f"{seed}/{try_number}") - 1)
    return min(timedelta(seconds=min(seconds, longest.total_seconds())), longest)


def _share(text: str) -> float:
    """Return a number from 0 to 1 that looks random and depends on the text only."""
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
