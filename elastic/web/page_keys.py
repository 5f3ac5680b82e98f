"""Keys in addresses, after which the next page of a list begins, and their parts."""

import datetime as dt
from collections.abc import Iterable

from elastic.web.errors import BadRequest

#: Between the parts of a key; ids never contain it.
_SEPARATOR = "~"


def key_text(parts: Iterable[object]) -> str:
    """Return a key from the parts that name a row."""
    return _SEPARATOR.join(utc_text(part) if isinstance(part, dt.datetime) else str(part) for part in parts)


def key_of(after: str, parts: int) -> list[str] | None:
    """Return the parts of the key after which a page begins; None for the first page.

    Raises:
        BadRequest: The key has another number of parts.
    """
    if not after:
        return None
    found = after.split(_SEPARATOR)
    if len(found) != parts:
        raise _invalid()
    return found


def instant_in(key: str) -> dt.datetime:
    """Return a time in a key.

    Raises:
        BadRequest: It is no time with a zone.
    """
    found = instant(key)
    if found is None:
        raise _invalid()
    return found


def number_in(key: str) -> int:
    """Return a whole number in a key.

    Raises:
        BadRequest: It is no number, or too large.
    """
    if not key.removeprefix("-").isdecimal() or len(key) > 18:
        raise _invalid()
    return int(key)


def instant(text: str) -> dt.datetime | None:
    """Return a time of ISO 8601 with its zone, or None if it is no such time."""
    try:
        found = dt.datetime.fromisoformat(text.strip())
        found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo else None


def utc_text(moment: dt.datetime) -> str:
    """Return a time in UTC, as ISO 8601 writes it."""
    return moment.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")


def _invalid() -> BadRequest:
    return BadRequest("The address names no row after which the page begins.", "Open the first page.")
