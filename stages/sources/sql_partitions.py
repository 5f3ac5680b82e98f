"""Rows of a query that the workers read, in ranges of one column."""

import datetime as dt
import math
from collections.abc import Collection, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgpack

from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.encoding import pack, unpack
from elastic.core.errors import EncodingError, SourceError, UsageError
from elastic.core.model.chunk import Position, Reference, SourcePiece
from elastic.stages.sources.sql import parse_query
from elastic.stages.sources.sql_database import SourceDatabase
from elastic.stages.sources.validation import positive_integer

if TYPE_CHECKING:
    from sqlalchemy import URL, ColumnElement, Executable, Select

#: Types of the values that a range can be divided by.
_DIVISIBLE = (int, float, Decimal, dt.date, dt.datetime)

#: Name of the user's query inside the query of a range.
_ALIAS = "elastic_rows"


class SqlRangeReader(EntriesReader):
    """Reader of ranges; a reference is `(number of the range, first value, exclusive end)`, as `_text` writes values.

    None stands for no limit. The first range also has the rows in which the column is NULL.
    """

    def __init__(
        self, database: SourceDatabase, query: "Executable", parameters: Mapping[str, Any], column: str
    ) -> None:
        self._database, self._query, self._parameters, self._column = database, query, dict(parameters), column

    def read_block(self, reference: Reference) -> bytes:
        """Return the rows of a range, in an order that depends on their values only."""
        from sqlalchemy import or_

        number, start, end = reference[0], *map(_value, reference[1:])
        statement, key = self._all_rows()
        if start is not None:
            statement = statement.where(key >= start)
        if end is not None:
            statement = statement.where(or_(key < end, key.is_(None)) if number == 0 else key < end)
        with self._database.connection() as connection:
            result = connection.execute(statement, self._parameters or None)
            names = self._database.names_of(result)
            # A database may return the same rows in another order when the chunk is read again.
            rows = sorted(self._pack(dict(zip(names, row, strict=True))) for row in result)
        return b"".join([msgpack.Packer().pack_array_header(len(rows)), *rows])

    def parse(self, reference: Reference, block: bytes) -> Collection[Any]:
        entries: list[Any] = unpack(block)
        return entries

    def locate(self, reference: Reference, index: int) -> str:
        start, end = map(_value, reference[1:])
        limits = [f"{self._column} {sign} {value}" for sign, value in ((">=", start), ("<", end)) if value is not None]
        return f"row {index} of the rows with {' and '.join(limits) or f'any {self._column}'}"

    def probes(self, reference: Reference) -> str | None:
        return self._database.file

    def _all_rows(self) -> "tuple[Select[Any], ColumnElement[Any]]":
        """Return a statement for the rows of the user's query, and the column to divide them by.

        Raises:
            UsageError: The query is no SELECT, or has no such column.
        """
        from sqlalchemy import column, select, text
        from sqlalchemy.sql.elements import TextClause
        from sqlalchemy.sql.selectable import SelectBase

        if isinstance(self._query, TextClause):
            plain = self._query.text.rstrip().rstrip(";")
            # A comment may end the query.
            return select(text("*")).select_from(text(f"({plain}\n) AS {_ALIAS}")), column(self._column)
        if not isinstance(self._query, SelectBase):
            raise UsageError("partition_on= needs a SELECT, as SQL text or as a SQLAlchemy statement.")
        rows = self._query.subquery(_ALIAS)
        if self._column not in rows.c:
            raise UsageError(f"the query has no column {self._column!r}; its columns are {', '.join(rows.c.keys())}.")
        return select(rows), rows.c[self._column]

    def check(self) -> None:
        """Refuse a query that cannot be divided; asks no database.

        Raises:
            UsageError: The query is no SELECT, or has no such column.
        """
        self._all_rows()

    def limits(self) -> tuple[Any, Any]:
        """Return the smallest and the largest value of the column; None for a column without values.

        Raises:
            SourceError: The database refuses the query.
            UsageError: The values are neither numbers nor times.
        """
        from sqlalchemy import func

        rows, key = self._all_rows()
        statement = rows.with_only_columns(func.min(key), func.max(key), maintain_column_froms=True)
        with self._database.connection() as connection:
            low, high = connection.execute(statement, self._parameters or None).one()
        for value in (low, high):
            if value is not None and (type(value) not in _DIVISIBLE or _is_not_finite(value)):
                raise UsageError(
                    f"partition_on={self._column!r} has the value {value!r} of type {type(value).__name__}; name a "
                    "column of finite numbers or of times (a column that SQLite stores as text is text)."
                )
        return low, high

    @staticmethod
    def _pack(row: dict[str, Any]) -> bytes:
        try:
            return pack(row)
        except EncodingError as error:
            raise SourceError(
                f"a row of the query cannot be read ({error}); convert the value in the query."
            ) from error


class PartitionedSqlSource(Source):
    """Rows of one query in ranges of a column; each range is a chunk, which a worker reads.

    The master asks for the smallest and the largest value of the column, and divides the range between them evenly. The
    first and the last range have no limit outside, and the first also has the rows without a value, so that each row is
    in exactly one range. The rows must not change until the run has ended.

    Args:
        query: SQL text with `:name` for parameters, or a SQLAlchemy select.
        url: As for `SqlSource`. Each worker connects by it.
        column: Name of a column of the query's result, of numbers or times.
        partitions: Maximum number of ranges.
        parameters: Values of the query's parameters.

    Raises:
        UsageError: An argument is invalid, or the database is in memory.
    """

    def __init__(
        self,
        query: "str | Executable",
        url: "str | URL",
        *,
        column: str,
        partitions: int,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._partitions = positive_integer("partitions", partitions)
        if not isinstance(column, str) or not column:
            raise UsageError(f"partition_on must be the name of a column, not {column!r}.")
        if parameters is not None and not isinstance(parameters, Mapping):
            raise UsageError(f"parameters must be a dict from name to value, not {parameters!r}.")
        self._database, self._query = SourceDatabase(url), parse_query(query)
        self._column, self._parameters = column, dict(parameters or {})
        if self._database.is_in_memory:
            raise UsageError(f"{self._database} is a database in memory, which workers cannot see; use a file.")
        self.reader().check()

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(number of the range, smallest value, largest value)`.

        Raises:
            SourceError: The database refuses the query.
        """
        self._database.check_file_exists()
        number, low, high = position or (0, *map(_text, self.reader().limits()))
        return self._pieces(number, low, high)

    def reader(self) -> SqlRangeReader:
        return SqlRangeReader(self._database, self._query, self._parameters, self._column)

    def reading(self) -> str:
        return "the workers, each a range of a column"

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "sql ranges",
            "url": str(self._database),
            "query": str(self._query),
            "parameters": {name: repr(value) for name, value in self._parameters.items()},
            "partition_on": self._column,
            "partitions": self._partitions,
        }

    def _pieces(self, number: int, low: str | None, high: str | None) -> Iterator[SourcePiece]:
        inner = _inner_limits(_value(low), _value(high), self._partitions)
        limits = [None, *map(_text, inner), None]
        for index in range(number, len(limits) - 1):
            yield SourcePiece((index, low, high), (index, limits[index], limits[index + 1]))


def _text(value: Any) -> str | None:
    """Return a value as a string, because references and positions have no times and decimals."""
    return None if value is None else pack(value).hex()


def _value(text: str | None) -> Any:
    return None if text is None else unpack(bytes.fromhex(text))


def _inner_limits(low: Any, high: Any, partitions: int) -> list[Any]:
    """Return the ascending limits between ranges of about equal width."""
    if low is None or low == high:
        return []
    width = high - low
    if isinstance(width, int):
        found = [low + width * index // partitions for index in range(1, partitions)]
    else:
        found = [low + width * index / partitions for index in range(1, partitions)]
    return sorted({limit for limit in found if low < limit <= high})


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float | Decimal) and not math.isfinite(value)
