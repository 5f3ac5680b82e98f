"""The rows of a query, read on the master through SQLAlchemy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.core.contracts.source import EntriesReader, Source
from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.core.model.chunk import Position, SourcePiece
from elastic.core.redaction import masked_url, problem_of
from elastic.stages.sources.validation import positive_integer

if TYPE_CHECKING:
    from sqlalchemy import URL, CursorResult, Engine, Executable


class SqlSource(Source):
    """The rows of one query, each a dict from column name to value.

    It is one-shot: a database promises neither the same rows nor the same order to a later process, so what was
    cut is persisted before it is sent. Rows are streamed, `chunk_size` at a time, where the driver can do it.
    A textual query on SQLite gives dates and decimals as SQLite stores them (text and floats); a SQLAlchemy
    `select` of typed columns, or `text(...).columns(...)`, gives dates and Decimals.

    Args:
        query: SQL text with `:name` for parameters, or a SQLAlchemy statement that returns rows.
        url: Where the database is, for example `postgresql://user:password@host/name`; text or a SQLAlchemy URL.
        chunk_size: Rows a chunk.
        parameters: Values of the query's parameters.

    Raises:
        UsageError: The URL cannot be read, its dialect or driver is not installed, or a parameter is of a wrong type.
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
        self._url = _parsed(url)
        self._query = _statement(query)
        self._engine()  # to name a missing driver here, where the URL is written
        #: None until the first cut
        self._pieces: Iterator[SourcePiece] | None = None
        self._taken = 0

    def cut(self, position: Position | None = None) -> Iterator[SourcePiece]:
        """Yield pieces; a position is `(index of the first row,)`, and only the one reached can be gone on from.

        Raises:
            SourceNotFoundError: The file of a SQLite URL does not exist.
            SourceError: The database refuses the query, or the query stands elsewhere.
        """
        (first,) = position or (0,)
        self._check_file()
        if self._pieces is None or first == 0:
            self._pieces, self._taken = self._read(), 0
        if first != self._taken:
            raise SourceError(
                f"the query on {self._shown} stands at row {self._taken} and cannot go on at row {first}; "
                "start a new run."
            )
        return self._pieces

    def reader(self) -> EntriesReader:
        return EntriesReader()

    def describe(self) -> dict[str, Any]:
        return {
            "kind": "sql",
            "url": self._shown,
            "query": str(self._query),
            "parameters": {name: repr(value) for name, value in self._parameters.items()},
            "chunk_size": self._chunk_size,
        }

    @property
    def _shown(self) -> str:
        """The URL without its password, wherever in the URL it stands."""
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
                f"the query on {self._shown} failed after {self._taken} rows ({self._reason(error)}); "
                "check the query and the database."
            ) from error
        finally:
            engine.dispose()

    def _rows(self, result: "CursorResult[Any]") -> Iterator[SourcePiece]:
        if not result.returns_rows:
            raise UsageError(f"the query on {self._shown} returns no rows; give a SELECT.")
        # Names of a statement of SQLAlchemy are of a class of its own, which does not travel.
        names = list(map(str, result.keys()))
        doubled = [name for name, times in Counter(names).items() if times > 1]
        if doubled:
            raise UsageError(
                f"the query on {self._shown} has several columns named {', '.join(map(repr, doubled))}; "
                "give each its own name with AS."
            )
        for rows in result.partitions(self._chunk_size):
            first = self._taken
            self._taken += len(rows)
            yield SourcePiece((first,), (first, len(rows)), [dict(zip(names, row, strict=True)) for row in rows])

    def _engine(self) -> "Engine":
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        try:
            return create_engine(self._url, poolclass=NullPool)
        except NoSuchModuleError as error:
            raise UsageError(
                f"{self._shown} names the database {self._url.drivername!r}, which SQLAlchemy does not know; "
                "check the part before '://', or install the package that adds it."
            ) from error
        except ModuleNotFoundError as error:
            raise UsageError(f"{self._shown} needs the package {error.name!r} on the master; install it.") from error
        except (ArgumentError, TypeError) as error:
            raise UsageError(f"{self._shown} cannot be used ({self._reason(error)}); check the URL.") from error

    def _check_file(self) -> None:
        """Refuse a SQLite file that does not exist, because SQLite would make an empty one."""
        database = self._url.database
        if self._url.get_backend_name() != "sqlite" or not database or database == ":memory:":
            return
        if not database.startswith("file:") and not Path(database).exists():
            raise SourceNotFoundError(database)

    def _reason(self, error: Exception) -> str:
        """Return the first line of what the database said, without the password."""
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        return reason.replace(str(self._url.password), "***") if self._url.password else reason


def _parsed(url: "str | URL") -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    problem = problem_of(url) if isinstance(url, str) else ""
    if problem:
        raise UsageError(f"the database URL {masked_url(str(url))!r} {problem}.")
    try:
        return make_url(url)
    except (ArgumentError, ValueError, AttributeError, TypeError):
        # Without the cause: its text may hold the password.
        shown = masked_url(url) if isinstance(url, str) and {"@", ":"} & set(url) else str(url)
        raise UsageError(f"{shown!r} is not a database URL; write it like postgresql://user@host/name.") from None


def _statement(query: Any) -> "Executable":
    from sqlalchemy import text
    from sqlalchemy.sql.base import Executable

    if isinstance(query, Executable):
        return query
    if not isinstance(query, str) or not query.strip():
        raise UsageError(f"query must be SQL text or a SQLAlchemy statement, not {query!r}.")
    return text(query)
