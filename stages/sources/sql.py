"""Rows of a query, which the master reads through SQLAlchemy."""

from collections.abc import Iterator, Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.errors import SourceError, UsageError
from elastic.core.model.chunk import Position, SourcePiece
from elastic.stages.sources.sql_database import SourceDatabase
from elastic.stages.sources.validation import positive_integer

if TYPE_CHECKING:
    from sqlalchemy import URL, CursorResult, Executable

#: Rows that a look at the data fetches at a time.
_PEEK_ROWS = 64


class SqlSource(Source):
    """Rows of one query; each entry is a dict from column name to value.

    The source is one-shot: a database guarantees neither the same rows nor the same order to a later process, so the
    run persists chunks before it sends them. The source streams rows, `chunk_size` at a time, if the driver supports
    that. A textual query on SQLite returns dates and decimals as SQLite stores them (text and floats). A SQLAlchemy
    `select` of typed columns, or `text(...).columns(...)`, returns dates and Decimals.

    Args:
        query: SQL text with `:name` for parameters, or a SQLAlchemy statement that returns rows.
        url: Database URL, for example `postgresql://user:password@host/name`; a string or a SQLAlchemy URL.
        chunk_size: Rows per chunk.
        parameters: Values of the query's parameters.

    Raises:
        UsageError: The URL is invalid, its dialect or driver is not installed, or a parameter has a wrong type.
    """

    replayable = False

    def __init__(
        self,
        query: "str | Executable",
        url: "str | URL",
        *,
        chunk_size: int = 3000,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self._chunk_size = positive_integer("chunk_size", chunk_size)
        if parameters is not None and not isinstance(parameters, Mapping):
            raise UsageError(f"parameters must be a dict from name to value, not {parameters!r}.")
        self._parameters = dict(parameters or {})
        self._database = SourceDatabase(url)
        self._query = parse_query(query)
        #: None until the first cut.
        self._pieces: Iterator[SourcePiece] | None = None
        self._rows_read = 0

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the first row,)`, and only the present one can be resumed.

        Raises:
            SourceNotFoundError: The file of a SQLite URL does not exist.
            SourceError: The database refuses the query, or the query is at another position.
        """
        (first,) = position or (0,)
        self._database.check_file_exists()
        if self._pieces is None or first == 0:
            self._pieces, self._rows_read = self._read(), 0
        if first != self._rows_read:
            raise SourceError(
                f"the query on {self._database} is at row {self._rows_read} and cannot continue at row {first}; "
                "start a new run."
            )
        return self._pieces

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        self._database.check_file_exists()
        look = copy(self)  # with a query of its own: that of a run keeps its position
        look._rows_read = 0
        if not whole_chunks:
            look._chunk_size = min(_PEEK_ROWS, self._chunk_size)
        return ((piece.position[0] // self._chunk_size, piece) for piece in look._read())

    def reader(self) -> EntriesReader:
        return EntriesReader()

    def reading(self) -> str:
        return "the master, by one query"

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "sql",
            "url": str(self._database),
            "query": str(self._query),
            "parameters": {name: repr(value) for name, value in self._parameters.items()},
            "chunk_size": self._chunk_size,
        }

    def _read(self) -> Iterator[SourcePiece]:
        from sqlalchemy.exc import SQLAlchemyError

        options = {"stream_results": True, "yield_per": self._chunk_size}
        with self._database.connection() as connection:
            try:
                with connection.execute(self._query, self._parameters or None, execution_options=options) as result:
                    yield from self._rows(result)
            except SQLAlchemyError as error:
                raise self._database.query_error(error, self._rows_read) from error

    def _rows(self, result: "CursorResult[Any]") -> Iterator[SourcePiece]:
        names = self._database.names_of(result)
        for rows in result.partitions(self._chunk_size):
            first = self._rows_read
            self._rows_read += len(rows)
            yield SourcePiece((first,), (first, len(rows)), [dict(zip(names, row, strict=True)) for row in rows])


def parse_query(query: Any) -> "Executable":
    """Return a query as a statement of SQLAlchemy.

    Raises:
        UsageError: It is neither SQL text nor a statement.
    """
    from sqlalchemy import text
    from sqlalchemy.sql.base import Executable

    if isinstance(query, Executable):
        return query
    if not isinstance(query, str) or not query.strip():
        raise UsageError(f"query must be SQL text or a SQLAlchemy statement, not {query!r}.")
    return text(query)
