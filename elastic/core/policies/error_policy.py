"""Error policy: treatment of failed entries, and the number that may fail."""

from dataclasses import dataclass
from enum import StrEnum

from elastic.core.backoff import Backoff
from elastic.core.errors import UsageError


class OnError(StrEnum):
    """Treatment of an entry that fails in user code."""

    FAIL = "fail"  #: The step ends with an error that names the entry.
    SKIP = "skip"  #: The entry is left out and counted.
    DEAD_LETTER = "dead-letter"  #: The entry is left out, counted, and stored with its error until it is redriven.


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPolicy:
    """Policy for errors raised by user functions."""

    on_error: OnError = OnError.FAIL
    #: Maximum number of failed entries; None for no limit.
    max_errors: int | None = None
    #: Maximum share of failed entries among those read so far, from 0 to 1; None for no limit.
    max_error_ratio: float | None = None
    #: Number of retries of an entry, by exception class; subclasses are included.
    retries: tuple[tuple[type[BaseException], int], ...] = ()
    #: Seconds before the first retry of an entry; each further delay is twice as long.
    retry_delay: float = 0.1
    #: Maximum seconds for one chunk before its worker is killed as hung; None for no limit.
    chunk_timeout: float | None = None
    #: True if user functions need chunks exactly as they were cut, so that a failing chunk is dropped as a whole.
    whole_chunks: bool = False

    def __post_init__(self) -> None:
        if self.max_errors is not None and (type(self.max_errors) is not int or self.max_errors < 0):
            raise UsageError(f"max_errors={self.max_errors!r} must be a whole number from 0, or left out.")
        if not isinstance(self.whole_chunks, bool):
            raise UsageError(f"whole_chunks={self.whole_chunks!r} must be True or False.")
        ratio = self.max_error_ratio
        if ratio is not None and not (isinstance(ratio, int | float) and 0 <= ratio <= 1):
            raise UsageError(f"max_error_ratio={ratio!r} must be a number from 0 to 1, or left out.")
        for name in ("retry_delay", "chunk_timeout"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int | float) and value > 0):
                raise UsageError(f"{name}={value!r} must be a number of seconds above 0.")
        if self.on_error is OnError.FAIL and (self.max_errors is not None or ratio is not None):
            raise UsageError("max_errors and max_error_ratio need on_error='skip' or 'dead-letter'.")

    def violation(self, failed: int, entries: int, *, with_ratio: bool = True) -> str | None:
        """Return the exceeded limit as a clause; None if no limit is exceeded."""
        if self.max_errors is not None and failed > self.max_errors:
            return f"{failed:,} entries failed, more than max_errors={self.max_errors:,}"
        if with_ratio and self.max_error_ratio is not None and failed > self.max_error_ratio * entries:
            return f"{failed:,} of {entries:,} entries failed, more than max_error_ratio={self.max_error_ratio:g}"
        return None

    @property
    def backoff(self) -> Backoff:
        """Delays before the retries of an entry."""
        return Backoff(first=self.retry_delay)

    def retries_for(self, error: BaseException) -> int:
        """Return the number of retries of an entry that failed with `error`."""
        return next((times for kind, times in self.retries if isinstance(error, kind)), 0)
