"""What user code raised, as plain data."""

import traceback

from elastic.core.errors import DecodingError
from elastic.core.failure import Failure

#: Characters of a message, and of a traceback (its end), that are kept.
_MESSAGE_LIMIT = 500
_TRACEBACK_LIMIT = 8000


def failure_of(error: BaseException, *, chunk_id: int, place: str, function: str, index: int | None = None) -> Failure:
    """Return an exception as plain data; it need not be picklable, nor its text be printable."""
    try:
        message = str(error)
    except Exception as unprintable:
        message = f"(its text cannot be made: {type(unprintable).__name__})"
    if isinstance(error, DecodingError):
        place = f"{error.path!r}, byte {error.byte}"
    try:
        trace = "".join(traceback.format_exception(error))
    except Exception as unprintable:
        trace = f"(the traceback cannot be made: {type(unprintable).__name__})"
    return Failure(
        chunk_id=chunk_id,
        index=index,
        place=_printable(place),
        function=_printable(function),
        error_type=type(error).__name__,
        message=_printable(message)[:_MESSAGE_LIMIT],
        traceback=_printable(trace)[-_TRACEBACK_LIMIT:],
    )


def _printable(text: str) -> str:
    """Return a text that a terminal and a database take: half a surrogate pair is escaped."""
    return text.encode(errors="backslashreplace").decode()
