"""Tolerance: what becomes of entries that user code fails on, and how many of them may be."""

from dataclasses import dataclass
from enum import StrEnum

from elastic.core.errors import UsageError


class OnError(StrEnum):
    """What becomes of an entry that user code fails on."""

    FAIL = "fail"  #: the step ends in error, naming it
    SKIP = "skip"  #: it is left out and counted
    DEAD_LETTER = "dead-letter"  #: it is left out, counted, and kept with its reason until it is redriven


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorPolicy:
    """How user code's failures are borne."""

    on_error: OnError = OnError.FAIL
    #: entries that may fail; None for any number
    max_errors: int | None = None
    #: share of the entries read so far that may fail, from 0 to 1; None for any
    max_error_ratio: float | None = None
    #: how often an entry is tried again when it fails with one of these exceptions or a subclass, by its class
    retries: tuple[tuple[type[BaseException], int], ...] = ()
    #: seconds before the first retry of an entry; each following pause is twice as long
    retry_delay: float = 0.1
    #: seconds that one chunk may take, before its worker is ended as hung; None for any time
    chunk_timeout: float | None = None
    #: True: the user's functions need chunks exactly as they were cut, so a chunk that fails is dropped as a whole
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
        """Return how a budget is exceeded, as a clause; None while it is not."""
        if self.max_errors is not None and failed > self.max_errors:
            return f"{failed:,} entries failed, more than max_errors={self.max_errors:,}"
        if with_ratio and self.max_error_ratio is not None and failed > self.max_error_ratio * entries:
            return f"{failed:,} of {entries:,} entries failed, more than max_error_ratio={self.max_error_ratio:g}"
        return None

    def retries_for(self, error: BaseException) -> int:
        """Return how often an entry that failed with `error` is tried again."""
        return next((times for kind, times in self.retries if isinstance(error, kind)), 0)
