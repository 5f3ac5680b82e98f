"""Default behaviour for every database, which backends override."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from elastic.core.errors import UsageError
from elastic.hooks.sql.backends.identifiers import table_parts

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

Row = Sequence[Any]


class Backend:
    """Adapter for any database that SQLAlchemy supports. Subclasses specialize it for one database.

    A backend has no state. Callers have checked all names that they pass.
    """

    #: name of the database in SQLAlchemy
    name = ""
    #: scheme for SQLAlchemy if the URL names no driver
    driver = ""
    #: package of the driver, and the extra that installs it
    package = ("", "")

    def engine(self, url: "URL") -> "Engine":
        """Return an engine that keeps no connection open, because a hook may sleep for hours between two uses."""
        from sqlalchemy import create_engine
        from sqlalchemy.pool import NullPool

        # Parameters may be secrets, so error messages must not show them.
        return create_engine(url, poolclass=NullPool, hide_parameters=True)

    def bound(self, value: Any) -> Any:
        """Convert a value to a type that the driver accepts. Dicts become JSON strings."""
        return json.dumps(value) if isinstance(value, dict) else value

    def insert(self, connection: "Connection", table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
        """Insert rows in the transaction of a connection and return their number."""
        statement = self.insert_text(connection, table, columns)
        return self._in_batches(connection, statement, rows)

    def upsert(
        self, connection: "Connection", table: str, columns: Sequence[str], key: Sequence[str], rows: Iterable[Row]
    ) -> int:
        """Insert rows, or update the existing rows with the same keys. Return the number of rows."""
        statement = self.insert_text(connection, table, columns) + self.conflict_text(connection, columns, key)
        return self._in_batches(connection, statement, rows)

    def conflict_text(self, connection: "Connection", columns: Sequence[str], key: Sequence[str]) -> str:
        """Return the clause that turns an insert into an upsert."""
        quote = connection.dialect.identifier_preparer.quote_identifier
        changes = ", ".join(f"{quote(name)} = excluded.{quote(name)}" for name in columns if name not in key)
        action = f"update set {changes}" if changes else "nothing"
        return f" on conflict ({', '.join(map(quote, key))}) do {action}"

    def insert_text(self, connection: "Connection", table: str, columns: Sequence[str]) -> str:
        """Return an insert statement for one row, with the placeholders of the driver."""
        quote = connection.dialect.identifier_preparer.quote_identifier
        mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
        return (
            f"insert into {self.table_text(connection, table)} ({', '.join(map(quote, columns))}) "  # noqa: S608 - quoted
            f"values ({', '.join([mark] * len(columns))})"
        )

    def table_text(self, connection: "Connection", table: str) -> str:
        """Return the name of a table, each part of it quoted."""
        quote = connection.dialect.identifier_preparer.quote_identifier
        return ".".join(map(quote, table_parts(table)))

    def bound_rows(self, rows: Iterable[Row]) -> Iterator[tuple[Any, ...]]:
        """Return rows with values that the driver accepts."""
        bound = self.bound
        return (tuple(map(bound, row)) for row in rows)

    def batch_rows(self) -> int:
        """Return the number of rows per call to the database."""
        return 1000

    def _in_batches(self, connection: "Connection", statement: str, rows: Iterable[Row]) -> int:
        if connection.dialect.paramstyle not in ("qmark", "format", "pyformat"):
            raise UsageError(
                f"rows cannot be inserted into a {connection.dialect.name} database yet; "
                "use `run` with a statement and parameters."
            )
        count = 0
        bound = self.bound_rows(rows)
        while batch := list(islice(bound, self.batch_rows())):
            connection.exec_driver_sql(statement, batch)
            count += len(batch)
        return count
