"""PostgreSQL, with psycopg: rows go in by COPY."""

import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from elastic.hooks.sql.backends.backend import Backend, Row

if TYPE_CHECKING:
    from sqlalchemy import Connection


class PostgresBackend(Backend):
    """Adapter for PostgreSQL."""

    name = "postgresql"
    driver = "postgresql+psycopg"
    package = ("psycopg", "postgres")

    def bound(self, value: Any) -> Any:
        # In a COPY the driver writes a UUID without dashes, and a column of text would store it so.
        return str(value) if isinstance(value, uuid.UUID) else super().bound(value)

    def insert(self, connection: "Connection", table: str, columns: Sequence[str], rows: Iterable[Row]) -> int:
        if connection.dialect.driver != "psycopg":
            return super().insert(connection, table, columns, rows)
        quote = connection.dialect.identifier_preparer.quote_identifier
        names = ", ".join(map(quote, columns))
        count = 0
        driver: Any = connection.connection.driver_connection
        with (
            driver.cursor() as cursor,
            cursor.copy(f"copy {self.table_text(connection, table)} ({names}) from stdin") as copy,
        ):
            for count, row in enumerate(self.bound_rows(rows), 1):  # noqa: B007 - the number of the last is the result
                copy.write_row(row)
        return count
