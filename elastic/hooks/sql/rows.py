"""Normalization of the rows that users pass."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from elastic.core.errors import UsageError
from elastic.hooks.sql.backends.identifiers import column_names

Record = Sequence[Any] | Mapping[str, Any]


def split_records(
    rows: Iterable[Record], columns: Sequence[str] | None
) -> tuple[tuple[str, ...], Iterator[Sequence[Any]]]:
    """Return the column names, and the rows with values in that order; no names if there are no rows.

    Raises:
        UsageError: Rows are not dicts, and `columns` is missing.
    """
    given = iter(rows)
    first = next(given, None)
    if first is None:
        return (), iter(())
    if columns is None:
        if not isinstance(first, Mapping):
            raise UsageError("rows that are not dicts need `columns`, the names of their columns in order.")
        columns = tuple(first)
    names = column_names(columns)
    return names, _ordered(chain([first], given), names)


def checked(rows: Iterable[Sequence[Any]], width: int) -> Iterator[Sequence[Any]]:
    """Yield rows after checking that each has `width` values.

    Raises:
        UsageError: A row has another number of values; the message gives its number.
    """
    for number, row in enumerate(rows, 1):
        if len(row) != width:
            raise UsageError(f"row {number} has {len(row)} values for {width} columns; nothing was kept.")
        yield row


def _ordered(rows: Iterable[Record], names: tuple[str, ...]) -> Iterator[Sequence[Any]]:
    for number, row in enumerate(rows, 1):
        if not isinstance(row, Mapping):
            if isinstance(row, str) or not isinstance(row, Sequence):
                raise UsageError(f"row {number} is {type(row).__name__}; a row is a dict or a list of values.")
            yield row
        elif row.keys() - names or len(row) != len(names):
            unlike = sorted(map(str, row.keys() ^ set(names)))
            raise UsageError(f"row {number} differs from the columns in {', '.join(unlike)}; nothing was kept.")
        else:
            yield [row[name] for name in names]
