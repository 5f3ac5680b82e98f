"""Database that a source reads through SQLAlchemy."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elastic.core.errors import SourceError, SourceNotFoundError, UsageError
from elastic.core.redaction import masked_url, problem_of

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult, Engine

#: Packages that add databases to SQLAlchemy, by the name of the database in a URL.
_PACKAGES = {
    "bigquery": "sqlalchemy-bigquery",
    "duckdb": "duckdb-engine",
    "redshift": "sqlalchemy-redshift",
    "snowflake": "snowflake-sqlalchemy",
}


class SourceDatabase:
    """Database at a URL; it connects only while a query runs, and no message has its password.

    Args:
        url: Database URL, for example `postgresql://user:password@host/name`; a string or a SQLAlchemy URL.

    Raises:
        UsageError: The URL is invalid, or its dialect or driver is not installed.
    """

    def __init__(self, url: "str | URL") -> None:
        self.url = _parse_url(url)
        self._engine()  # raises for a missing driver here, where the user wrote the URL

    def __str__(self) -> str:
        """Return the URL with masked passwords, also in its query string."""
        secret = {name: "***" for name in self.url.query if "password" in name.lower()}
        return self.url.update_query_dict(secret).render_as_string(hide_password=True)

    @property
    def file(self) -> str | None:
        """The file of a SQLite database; None for other databases."""
        database = self.url.database
        if self.url.get_backend_name() != "sqlite" or not database or database == ":memory:":
            return None
        return None if database.startswith("file:") else database

    @property
    def is_in_memory(self) -> bool:
        """True if no other process sees the database."""
        in_file = self.url.get_backend_name() not in ("sqlite", "duckdb")
        return not in_file and self.url.database in (None, "", ":memory:")

    @contextmanager
    def connection(self) -> Iterator["Connection"]:
        """Connect for the block.

        Raises:
            SourceNotFoundError: The file of a SQLite URL does not exist.
            SourceError: The database refuses the connection or a query.
        """
        from sqlalchemy.exc import SQLAlchemyError

        self.check_file_exists()
        engine = self._engine()
        try:
            with engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise self.query_error(error, 0) from error
        finally:
            engine.dispose()

    def query_error(self, error: Exception, rows: int) -> SourceError:
        """Return the error for a query that the database refuses after a number of rows."""
        return SourceError(
            f"the query on {self} failed after {rows} rows ({self._reason(error)}); check the query and the database."
        )

    def names_of(self, result: "CursorResult[Any]") -> list[str]:
        """Return the names of the columns of a result.

        Raises:
            UsageError: The query returns no rows, or two columns have one name.
        """
        if not result.returns_rows:
            raise UsageError(f"the query on {self} returns no rows; pass a SELECT.")
        # Convert SQLAlchemy's own string class, which cannot travel to a worker.
        names = list(map(str, result.keys()))
        repeated = [name for name, times in Counter(names).items() if times > 1]
        if repeated:
            raise UsageError(
                f"the query on {self} has several columns named {', '.join(map(repr, repeated))}; rename them with AS."
            )
        return names

    def check_file_exists(self) -> None:
        """Refuse a SQLite file that does not exist, because SQLite would create an empty one.

        Raises:
            SourceNotFoundError: The file does not exist.
        """
        if self.file is not None and not Path(self.file).exists():
            raise SourceNotFoundError(self.file)

    def _engine(self) -> "Engine":
        from sqlalchemy import create_engine
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        try:
            return create_engine(self.url, poolclass=NullPool)
        except NoSuchModuleError as error:
            package = _PACKAGES.get(self.url.get_backend_name())
            raise UsageError(
                f"{self} names the database {self.url.drivername!r}, which SQLAlchemy does not know; "
                f"check the part before '://', or install the package {package or 'that adds it'}."
            ) from error
        except ModuleNotFoundError as error:
            raise UsageError(f"{self} needs the package {error.name!r} on this machine; install it.") from error
        except (ArgumentError, TypeError) as error:
            raise UsageError(f"{self} cannot be used ({self._reason(error)}); check the URL.") from error

    def _reason(self, error: Exception) -> str:
        """Return the first line of the database's message, without the password."""
        lines = str(getattr(error, "orig", None) or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        return reason.replace(str(self.url.password), "***") if self.url.password else reason


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
