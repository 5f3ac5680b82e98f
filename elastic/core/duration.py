"""Durations as users write them: `90s`, `15m`, `12h`, `30d`, `2w`."""

import datetime as dt
import re

from elastic.core.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smhdw])\s*", re.ASCII)


def duration_of(name: str, value: object) -> dt.timedelta:
    """Return a duration of at least 0.

    Args:
        name: Argument to name in an error.
        value: A number with a unit, such as `30d`, or a timedelta.

    Raises:
        UsageError: The value is neither, is negative, or is too long.
    """
    if isinstance(value, dt.timedelta) and value >= dt.timedelta(0):
        return value
    found = _DURATION.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is not None:
            return dt.timedelta(seconds=float(found[1]) * _SECONDS[found[2]])
    except OverflowError:
        pass
    raise UsageError(f"{name}={value!r} must be a duration, such as 90s, 15m, 12h, 30d or 2w.")
