"""Column in the name of a folder, `key=value/`: plain data that travels and is kept."""

import datetime as dt
import re
from typing import Any, NamedTuple

#: Types of folder columns, by the names of their Arrow types. A string has the first whose form it has.
FOLDER_TYPES = ("int64", "date32", "bool", "string")

#: Whole numbers in their only usual form, so that none loses digits: 007 is a string.
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_BOOLEANS = {"true": True, "false": False}


class FolderColumn(NamedTuple):
    """A column and its value for all records of a file."""

    name: str
    text: str | None  #: The value as text; None if it is missing.
    kind: str  #: One of `FOLDER_TYPES`.

    @property
    def value(self) -> Any:
        """The value of this type; None if it is missing."""
        return value_of(self.text, self.kind)


def value_of(text: str | None, kind: str) -> Any:
    """Return the value of a string, or None if it does not have the form of a type."""
    if text is None:
        return None
    if kind == "string":
        return text
    if kind == "bool":
        return _BOOLEANS.get(text)
    if kind == "int64":
        number = int(text) if _INTEGER.fullmatch(text) and len(text) < 20 else None
        return number if number is not None and -(2**63) <= number < 2**63 else None
    try:
        return dt.date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None
