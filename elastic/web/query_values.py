"""Query values of a page. The default replaces an invalid value, and the page shows a notice."""

import datetime as dt
from collections.abc import Collection

from starlette.requests import Request

from elastic.core.text import one_line

#: Maximum number of characters of a value in a notice.
_MAX_SHOWN = 60
#: Maximum number of characters of a value.
_MAX_TEXT = 250


class QueryValues:
    """Values of the query of one request.

    Args:
        request: The request.
        zone: Time zone of the user, for dates without one.
    """

    def __init__(self, request: Request, zone: dt.tzinfo = dt.UTC) -> None:
        self._given, self._zone = request.query_params, zone
        #: a sentence for each invalid value
        self.notices: list[str] = []

    def text(self, name: str) -> str:
        """Return a string without surrounding spaces; an empty one if it is missing or too long."""
        value = self._given.get(name, "").strip()
        if len(value) > _MAX_TEXT:
            self._replaced(name, value, f"is longer than {_MAX_TEXT} characters")
            return ""
        return value

    def flag(self, name: str) -> bool:
        """Return whether a check box is ticked."""
        return self._given.get(name, "") in ("1", "true", "on", "yes")

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """Return one of some values."""
        value = self._given.get(name, "") or default
        if value not in choices:
            self._replaced(name, value, f"is not one of {', '.join(choices)}")
            return default
        return value

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """Return a whole number in a range, both ends included."""
        value = self._given.get(name, "")
        if not value:
            return default
        if not value.isdecimal() or not value.isascii() or len(value) > 18 or not low <= int(value) <= high:
            self._replaced(name, value, f"is not a whole number from {low:,} to {high:,}")
            return default
        return int(value)

    def date(self, name: str, *, is_end: bool = False) -> dt.datetime | None:
        """Return an instant in UTC, or None; a date without a time is its first moment.

        Args:
            name: The name.
            is_end: A date without a time is its last moment.
        """
        return self.parsed_date(name, self._given.get(name, ""), is_end=is_end)

    def parsed_date(self, name: str, text: str, *, is_end: bool = False) -> dt.datetime | None:
        """Return the instant of a string given under a name, as `date` does."""
        value = text.strip()
        if not value:
            return None
        try:
            found = dt.datetime.fromisoformat(value)
            if is_end and len(value) == len("2026-11-29"):
                found += dt.timedelta(days=1, microseconds=-1)
            found = found if found.tzinfo else found.replace(tzinfo=self._zone)
            return found.astimezone(dt.UTC)
        except (ValueError, OverflowError):
            self._replaced(name, value, "is not a date such as 2026-11-29")
            return None

    def _replaced(self, name: str, value: str, why: str) -> None:
        self.notices.append(f"{name} {one_line(value[:_MAX_SHOWN])!r} {why}; it is ignored.")
