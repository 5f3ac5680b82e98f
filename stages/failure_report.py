"""What user code raised, as plain data."""

from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.failure import Failure
from elastic.core.text import error_text, traceback_text, writable

#: Characters of a message, and of a traceback (its end), that are kept.
_MESSAGE_LIMIT = 500
_TRACEBACK_LIMIT = 8000


def failure_of(error: BaseException, *, chunk_id: int, place: str, function: str, index: int | None = None) -> Failure:
    """Return an exception as plain data; it need not be picklable, nor its text be printable."""
    message = error_text(error)
    if isinstance(error, DecodingError):
        place, message = f"{error.path!r}, byte {error.byte}", f"{error.problem}; {error.advice}"
    return Failure(
        chunk_id=chunk_id,
        index=index,
        place=writable(place),
        function=writable(function),
        error_type=type(error).__name__,
        message=writable(message)[:_MESSAGE_LIMIT],
        traceback=writable(traceback_text(error))[-_TRACEBACK_LIMIT:],
    )


def hint_of(error: BaseException) -> str:
    """Return what to do about two states that cannot be merged, where it is their entries that do not go together."""
    if not isinstance(error, TypeError | UsageError):
        return ""
    return "; no entry fails by itself, but those of some chunks do not go with those of others: map all to one type"
