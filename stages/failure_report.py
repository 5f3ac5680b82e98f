"""Convert exceptions of user code to plain data."""

from elastic.core.errors import DecodingError, UsageError
from elastic.core.model.failure import Failure
from elastic.core.text import error_text, traceback_text, writable

#: Maximum number of characters of a message, and of the kept end of a traceback.
_MAX_MESSAGE = 500
_MAX_TRACEBACK = 8000


def failure_of(error: BaseException, *, chunk_id: int, place: str, function: str, index: int | None = None) -> Failure:
    """Return an exception as plain data. The exception need not be picklable, nor its message printable."""
    message = error_text(error)
    if isinstance(error, DecodingError):
        message = f"{error.problem}; {error.advice}"
        if index is None:
            place = f"{error.path!r}, byte {error.byte}"
    return Failure(
        chunk_id=chunk_id,
        index=index,
        place=writable(place),
        function=writable(function),
        error_type=type(error).__name__,
        message=writable(message)[:_MAX_MESSAGE],
        traceback=writable(traceback_text(error))[-_MAX_TRACEBACK:],
    )


def hint_of(error: BaseException) -> str:
    """Return advice for states that cannot be merged because their entries have different types, else an empty text."""
    if not isinstance(error, TypeError | UsageError):
        return ""
    return "; no single entry fails, but entries of some chunks are incompatible with others: map all to one type"
