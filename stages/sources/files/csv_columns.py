"""Columns of delimited text: which of them are read, and the types of their values."""

import datetime as dt
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.model.folder_column import FolderColumn
from elastic.core.suggest import did_you_mean
from elastic.core.text import error_text
from elastic.core.transform import name_of
from elastic.stages.sources.validation import distinct_names

#: A fraction of a second with digits behind the microseconds that are not zero.
_NANOSECONDS = re.compile(r"[.,][0-9]{6}[0-9]*[1-9]")

#: Maximum number of characters of a value in a message.
_MAX_SHOWN = 50


class UnconvertibleError(ValueError):
    """A value cannot be converted to the type of its column. Never leaves the parser."""


@dataclass(frozen=True, slots=True)
class CsvColumns:
    """Selection of columns and conversion of their values.

    Attributes:
        selected: Names of the columns to read, in this order; None for all.
        types: Names of columns, each with a type or a function of the string.
    """

    selected: tuple[str, ...] | None = None
    types: tuple[tuple[str, Callable[[str], Any]], ...] = ()

    @classmethod
    def of(cls, columns: Any, types: Any) -> "CsvColumns":
        """Return the columns that a user selects and types.

        Raises:
            UsageError: A name is no string or given twice, or a type cannot be called.
        """
        if types is not None and not isinstance(types, Mapping):
            raise UsageError(f"types must be a dict from column name to type, not {types!r}.")
        for name, kind in (types or {}).items():
            if not isinstance(name, str) or not callable(kind):
                raise UsageError(f"types has {name!r}: {kind!r}, which must be a column name and a type.")
        selected = None if columns is None else distinct_names("columns", columns)
        for name in types or {}:
            if selected is not None and name not in selected:
                raise UsageError(f"types names the column {name!r}, which columns leaves out.")
        return cls(selected, tuple((types or {}).items()))

    def check(self, names: Sequence[str], path: str) -> None:
        """Check that the files have the columns.

        Raises:
            UsageError: A file has no such column; the message has the path and the name.
        """
        for name in (*(self.selected or ()), *(name for name, _ in self.types)):
            if name not in names:
                hint = did_you_mean(name, names, f"its columns are {', '.join(names)}.")
                raise UsageError(f"{path!r} has no column {name!r}; {hint}")

    def constants(self, columns: Sequence[FolderColumn]) -> dict[str, Any]:
        """Return the values of columns for all rows of a file; those to convert are texts."""
        texts = {name for name, _ in self.types}
        return {column.name: column.text if column.name in texts else column.value for column in columns}

    def entry(self, names: Sequence[str], row: Sequence[str], constants: Mapping[str, Any]) -> dict[str, Any]:
        """Return the entry of a row, which has a value for each name.

        Args:
            names: Names of the columns in the file.
            row: Their values.
            constants: Values of other columns.

        Raises:
            UnconvertibleError: A value cannot be converted; the message has its column.
            ValueError: The row has another number of values.
        """
        entry: dict[str, Any] = dict(zip(names, row, strict=True))
        if constants:
            entry.update(constants)
        for name, kind in self.types:
            if (value := entry[name]) is not None:
                entry[name] = _converted(name, value, kind)
        return entry if self.selected is None else {name: entry[name] for name in self.selected}

    def describe(self) -> dict[str, Any]:
        """Return plain data for the run's manifest; empty if all columns are read as strings."""
        found: dict[str, Any] = {}
        if self.selected is not None:
            found["columns"] = list(self.selected)
        if self.types:
            found["types"] = {name: name_of(kind) for name, kind in self.types}
        return found


def _converted(name: str, text: str, kind: Callable[[str], Any]) -> Any:
    convert = _CONVERTERS.get(kind)
    try:
        if convert is None:
            return kind(text)
        return None if not text else convert(text)
    except Exception as error:
        shown = text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}..."
        reason = f"{type(error).__name__}: {error_text(error)}"
        raise UnconvertibleError(
            f"the value {shown!r} of the column {name!r} cannot be converted by {name_of(kind)} ({reason})"
        ) from None


def _number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
    """Return a converter of numbers that refuses what only Python's source code may contain, such as `1_000`."""

    def convert(text: str) -> Any:
        if "_" in text or not text.isascii():
            raise ValueError("not a number")
        return kind(text)

    return convert


def _time(kind: Any) -> Callable[[str], Any]:
    """Return a converter of ISO 8601 that refuses digits of which Python's times have none, instead of cutting them."""

    def convert(text: str) -> Any:
        if _NANOSECONDS.search(text):
            raise ValueError("more than microseconds")
        return kind.fromisoformat(text)

    return convert


def _boolean(text: str) -> bool:
    found = {"true": True, "1": True, "false": False, "0": False}.get(text.lower())
    if found is None:
        raise ValueError("neither true, false, 1 nor 0")
    return found


#: Converters of strings that are not empty; an empty string becomes None.
_CONVERTERS: dict[Any, Callable[[str], Any]] = {
    int: _number(int),
    float: _number(float),
    Decimal: _number(Decimal),
    bool: _boolean,
    dt.date: dt.date.fromisoformat,
    dt.datetime: _time(dt.datetime),
    dt.time: _time(dt.time),
    uuid.UUID: uuid.UUID,
}
