"""Target of a write to a database: its URL and table, connections, transactions, and errors without passwords."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from elastic.core.errors import ElasticError, StoreError, UsageError
from elastic.core.redaction import MASK, is_secret_name

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

#: Driver for each supported database, unless the URL names one; and the extra that installs it.
DRIVERS = {
    "sqlite": ("sqlite+pysqlite", ""),
    "postgresql": ("postgresql+psycopg", "postgres"),
    "mysql": ("mysql+pymysql", "mysql"),
    "mariadb": ("mariadb+pymysql", "mysql"),
}

#: Advice of errors of the database.
RESUME_ADVICE = "check the database, then resume the run"

#: Seconds for which SQLite waits for the transactions of other processes.
_LOCK_SECONDS = 60

#: Attempts of a transaction that collides with others, and seconds before the second one.
_ATTEMPTS, _RETRY_SECONDS = 8, 0.05

#: SQLSTATEs of PostgreSQL and error numbers of MySQL for a deadlock, a lock timeout and a serialization failure.
_COLLISIONS = frozenset({"40P01", "40001", "55P03", 1213, 1205, 1020})

ResultT = TypeVar("ResultT")


class _CollisionError(StoreError):
    """Another transaction held the rows for too long. Nothing was written."""


@dataclass(frozen=True, slots=True)
class SqlTarget:
    """Table of a database."""

    #: URL with its password, which `repr` leaves out.
    url: "URL" = field(repr=False)
    schema: str | None
    table: str

    @property
    def database(self) -> str:
        """`sqlite`, `postgresql` or `mysql`, which includes MariaDB."""
        name = self.url.get_backend_name()
        return "mysql" if name == "mariadb" else name

    @property
    def shown_url(self) -> str:
        """The URL with masked secrets, without the driver."""
        secret = {name: MASK for name in self.url.query if is_secret_name(name)}
        url = self.url.set(drivername=self.url.get_backend_name())
        return url.update_query_dict(secret).render_as_string(hide_password=True)

    @property
    def shown_table(self) -> str:
        """The table with its schema, for people."""
        return f"{self.schema}.{self.table}" if self.schema else self.table

    def __str__(self) -> str:
        return f"table {self.shown_table!r} of {self.shown_url}"

    # -- statements

    def quoted(self, name: str) -> str:
        """Return an identifier in quotes."""
        mark = "`" if self.database == "mysql" else '"'
        return f"{mark}{name.replace(mark, mark * 2)}{mark}"

    def quoted_table(self, table: str) -> str:
        """Return a table in the schema of the target, in quotes."""
        return f"{self.quoted(self.schema)}.{self.quoted(table)}" if self.schema else self.quoted(table)

    def quoted_list(self, names: Sequence[str]) -> str:
        """Return identifiers in quotes, with commas."""
        return ", ".join(map(self.quoted, names))

    # -- transactions

    def engine(self) -> "Engine":
        """Return an engine that keeps no connection open.

        Raises:
            UsageError: The driver is not installed, or the URL does not fit it.
        """
        from sqlalchemy import create_engine, event
        from sqlalchemy.exc import ArgumentError
        from sqlalchemy.pool import NullPool

        is_sqlite = self.database == "sqlite"
        # Without a level of isolation, Python's driver begins no transaction by itself.
        options = {"isolation_level": None, "timeout": _LOCK_SECONDS} if is_sqlite else {}
        try:
            engine = create_engine(self.url, poolclass=NullPool, hide_parameters=True, connect_args=options)
        except ModuleNotFoundError as error:
            extra = DRIVERS[self.url.get_backend_name()][1]
            advice = f"pip install 'elastic-dataflow[{extra}]'" if extra else "install it"
            raise UsageError(f"{self.shown_url} needs the package {error.name!r}; {advice}.") from None
        except (ArgumentError, TypeError, ValueError) as error:
            raise UsageError(f"{self.shown_url} cannot be used ({self.reason(error)}); check the URL.") from None
        if is_sqlite:
            # The lock for writing at once: a transaction that reads first cannot wait for it.
            event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine

    @contextmanager
    def transaction(self) -> Iterator["Connection"]:
        """Run the block in a transaction on a connection of its own.

        Raises:
            StoreError: The database cannot be reached, or refused a statement. The message has no password.
            UsageError: The driver is not installed.
        """
        from sqlalchemy.exc import SQLAlchemyError

        self._check_file()
        engine = self.engine()
        try:
            with engine.connect() as connection, connection.begin():
                if self.database == "mysql":
                    # Otherwise a server may shorten values silently, and convert timestamps by its own zone.
                    connection.exec_driver_sql(
                        "SET SESSION sql_mode = CONCAT(@@sql_mode, ',STRICT_ALL_TABLES'), time_zone = '+00:00'"
                    )
                yield connection
        except (SQLAlchemyError, engine.dialect.loaded_dbapi.Error) as error:
            raise self._failure(error) from None  # the cause may hold the password
        finally:
            engine.dispose()

    def retried(self, work: Callable[["Connection"], ResultT]) -> ResultT:
        """Run `work` in a transaction, again if it collides with another one. Raises as `transaction` does."""
        for attempt in range(_ATTEMPTS):
            try:
                with self.transaction() as connection:
                    return work(connection)
            except _CollisionError as error:
                if attempt == _ATTEMPTS - 1:
                    raise StoreError(str(error)) from None
                time.sleep(_RETRY_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    def mark(self, connection: "Connection") -> str:
        """Return the driver's mark for a parameter.

        Raises:
            UsageError: The driver names its parameters in a way that is not supported.
        """
        style = connection.dialect.paramstyle
        if style not in ("qmark", "format", "pyformat"):
            raise UsageError(
                f"{self.shown_url} names the driver {self.url.get_driver_name()!r}, which write_sql does not support; "
                f"use {DRIVERS[self.url.get_backend_name()][0]}."
            )
        return "?" if style == "qmark" else "%s"

    def with_marks(self, connection: "Connection", statement: str) -> str:
        """Return a statement with the driver's marks for parameters in place of U+0000, and its `%` escaped."""
        mark = self.mark(connection)
        return (statement if mark == "?" else statement.replace("%", "%%")).replace("\0", mark)

    # -- errors

    def _check_file(self) -> None:
        """Refuse a SQLite file that does not exist, because SQLite would create an empty one."""
        if self.database == "sqlite" and not os.path.isfile(str(self.url.database)):  # noqa: PTH113
            raise StoreError(f"{self.shown_url} does not exist on this host; create the database and its table first.")

    def _failure(self, error: Exception) -> ElasticError:
        from sqlalchemy.exc import DBAPIError

        original: Any = error.orig if isinstance(error, DBAPIError) else error
        code = getattr(original, "sqlstate", None) or next(iter(getattr(original, "args", ())), None)
        kind = _CollisionError if code in _COLLISIONS or "database is locked" in str(original) else StoreError
        return kind(f"{self} cannot be used ({self.reason(error)}); {RESUME_ADVICE}.")

    def reason(self, error: Exception) -> str:
        """Return the first line of the database's message, without the password."""
        original = getattr(error, "orig", None) or error
        arguments: tuple[Any, ...] = getattr(original, "args", ())
        is_numbered = len(arguments) == 2 and isinstance(arguments[0], int)  # PyMySQL
        lines = str(arguments[1] if is_numbered else original).strip().splitlines()
        text = lines[0].strip().rstrip(".") if lines else type(original).__name__
        secrets = [self.url.password, *(value for name, value in self.url.query.items() if is_secret_name(name))]
        for secret in secrets:
            text = text.replace(str(secret), MASK) if secret else text
        return text
