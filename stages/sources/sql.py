"""Rows of a query, which the master reads through SQLAlchemy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.core.model.chunk import Position, SourcePiece
from elastic.core.redaction import masked_url, problem_of
from elastic.stages.sources.validation import positive_integer

if TYPE_CHECKING:
    from sqlalchemy import URL, CursorResult, Engine, Executable

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
        self._url = _parse_url(url)
        self._query = _parse_query(query)
        self._engine()  # raises for a missing driver here, where the user wrote the URL
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
        self._check_file_exists()
        if self._pieces is None or first == 0:
            self._pieces, self._rows_read = self._read(), 0
        if first != self._rows_read:
            raise SourceError(
                f"the query on {self._masked_url} is at row {self._rows_read} and cannot continue at row {first}; "
                "start a new run."
            )
        return self._pieces

    def peek(self, *, whole_chunks: bool) -> Iterator[tuple[int, SourcePiece]]:
        self._check_file_exists()
        look = copy(self)  # with a query of its own: that of a run keeps its position
        look._rows_read = 0
        if not whole_chunks:
            look._chunk_size = min(_PEEK_ROWS, self._chunk_size)
        return ((piece.position[0] // self._chunk_size, piece) for piece in look._read())

    def reader(self) -> EntriesReader:
        return EntriesReader()

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "sql",
            "url": self._masked_url,
            "query": str(self._query),
            "parameters": {name: repr(value) for name, value in self._parameters.items()},
            "chunk_size": self._chunk_size,
        }

    @property
    def _masked_url(self) -> str:
        """The URL with masked passwords, also in its query string."""
        secret = {name: "***" for name in self._url.query if "password" in name.lower()}
        return self._url.update_query_dict(secret).render_as_string(hide_password=True)

    def _read(self) -> Iterator[SourcePiece]:
        from sqlalchemy.exc import SQLAlchemyError

        engine = self._engine()
        try:
            with engine.connect() as connection:
                options = {"stream_results": True, "yield_per": self._chunk_size}
                with connection.execute(self._query, self._parameters or None, execution_options=options) as result:
                    yield from self._rows(result)
        except SQLAlchemyError as error:
            raise SourceError(
                f"the query on {self._masked_url} failed after {self._rows_read} rows ({self._reason(error)}); "
                "check the query and the database."
            ) from error
        finally:
            engine.dispose()

    def _rows(self, result: "CursorResult[Any]") -> Iterator[SourcePiece]:
        if not result.returns_rows:
            raise UsageError(f"the query on {self._masked_url} returns no rows; pass a SELECT.")
        # Convert SQLAlchemy's own string class, which cannot travel to a worker.
        names = list(map(str, result.keys()))
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise UsageError(
                f"the query on {self._masked_url} has several columns named {', '.join(map(repr, repeated))}; "
                "rename them with AS."
            )
        for rows in result.partitions(self._chunk_size):
            first = self._rows_read
            self._rows_read += len(rows)
            yield SourcePiece((first,), (first, len(rows)), [dict(zip(names, row, strict=True)) for row in rows])

    def _engine(self) -> "Engine":
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        try:
            return create_engine(self._url, poolclass=NullPool)
        except NoSuchModuleError as error:
            raise UsageError(
                f"{self._masked_url} names the database {self._url.drivername!r}, which SQLAlchemy does not know; "
                "check the part before '://', or install the package that adds it."
            ) from error
        except ModuleNotFoundError as error:
            raise UsageError(
                f"{self._masked_url} needs the package {error.name!r} on the master; install it."
            ) from error
        except (ArgumentError, TypeError) as error:
            raise UsageError(f"{self._masked_url} cannot be used ({self._reason(error)}); check the URL.") from error

    def _check_file_exists(self) -> None:
        """Refuse a SQLite file that does not exist, because SQLite would create an empty one."""
        database = self._url.database
        if self._url.get_backend_name() != "sqlite" or not database or database == ":memory:":
            return
        if not database.startswith("file:") and not Path(database).exists():
            raise SourceNotFoundError(database)

    def _reason(self, error: Exception) -> str:
        """Return the first line of the database's message, without the password."""
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        return reason.replace(str(self._url.password), "***") if self._url.password else reason


def _parse_url(url: "str | URL") -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    problem = problem_of(url) if isinstance(url, str) else ""
    if problem:
        raise UsageError(f"the database URL {masked_url(str(url))!r} {problem}.")
    try:
        return make_url(url)
    except (ArgumentError, ValueError, AttributeError, TypeError):
        # Without the cause: its message may contain the password.
        shown = masked_url(url) if isinstance(url, str) and {"@", ":"} & set(url) else str(url)
        raise UsageError(f"{shown!r} is not a database URL; write it like postgresql://user@host/name.") from None


def _parse_query(query: Any) -> "Executable":
    from sqlalchemy import text
    from sqlalchemy.sql.base import Executable

    if isinstance(query, Executable):
        return query
    if not isinstance(query, str) or not query.strip():
        raise UsageError(f"query must be SQL text or a SQLAlchemy statement, not {query!r}.")
    return text(query)
