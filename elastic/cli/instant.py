"""Dates as people write them on the command line."""

import datetime as dt

from elastic.core.errors import UsageError


def read_date(text: str) -> dt.datetime:
    """Return an aware time from `2016-02-22`, `2016-02-22T14:00` or a full ISO 8601 time; without a zone it is UTC.

    Raises:
        UsageError: It is none.
    """
    try:
        read = dt.datetime.fromisoformat(text.strip())
    except ValueError:
        raise UsageError(f"{text!r} is no date; write it as YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS.") from None
    return read if read.tzinfo else read.replace(tzinfo=dt.UTC)
