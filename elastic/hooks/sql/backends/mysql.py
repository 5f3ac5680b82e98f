"""MySQL and MariaDB, with PyMySQL."""

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from elastic.core.errors import UsageError
from elastic.hooks.sql.backends.backend import Backend, Row
from elastic.hooks.sql.backends.identifiers import table_parts

if TYPE_CHECKING:
    from sqlalchemy import Connection


class MySqlBackend(Backend):
    """Adapter for MySQL and MariaDB.

    The server commits the transaction at every statement that changes a table definition.
    """

    name = "mysql"
    driver = "mysql+pymysql"
    package = ("pymysql", "mysql")

    def bound(self, value: Any) -> Any:
        if isinstance(value, dt.datetime) and value.tzinfo is not None:
            # MySQL types have no time zone, and the driver would drop the offset.
            return value.astimezone(dt.UTC).replace(tzinfo=None)
        if isinstance(value, uuid.UUID):
            return str(value)
        return json.dumps(value) if isinstance(value, (dict, list)) else value

    def upsert(
        self, connection: "Connection", table: str, columns: Sequence[str], key: Sequence[str], rows: Iterable[Row]
    ) -> int:
        # MySQL accepts a conflict on any unique key, and inserts a second row if there is no unique key.
        self._check_key(connection, table, key)
        return super().upsert(connection, table, columns, key, rows)

    def conflict_text(self, connection: "Connection", columns: Sequence[str], key: Sequence[str]) -> str:
        quote = connection.dialect.identifier_preparer.quote_identifier
        # MariaDB supports only this form, which MySQL calls deprecated. Setting a key to itself changes nothing.
        changed = [name for name in columns if name not in key] or key[:1]
        return " on duplicate key update " + ", ".join(f"{quote(name)} = values({quote(name)})" for name in changed)

    def _check_key(self, connection: "Connection", table: str, key: Sequence[str]) -> None:
        from sqlalchemy import inspect

        *schema, name = table_parts(table)
        if len(schema) > 1:
            raise UsageError(f"{table!r} has three parts, and MySQL knows two: database and table.")
        inspector = inspect(connection)
        place = schema[0] if schema else None
        keys = [set(inspector.get_pk_constraint(name, place)["constrained_columns"])]
        keys += [set(found["column_names"]) for found in inspector.get_unique_constraints(name, place)]
        if {part.lower() for part in key} not in [{part.lower() for part in found} for found in keys]:
            raise UsageError(
                f"table {table!r} has no primary key and no unique index over {', '.join(key)}; "
                "upsert_rows needs one to find the row that is there."
            )
