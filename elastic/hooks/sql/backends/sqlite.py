"""SQLite, with the driver of the standard library."""

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from elastic.hooks.sql.backends.backend import Backend

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

#: Seconds that a statement waits for another process to end its transaction.
_PATIENCE = 30


class SqliteBackend(Backend):
    """A file, or the memory of this process."""

    name = "sqlite"
    driver = "sqlite+pysqlite"

    def engine(self, url: "URL") -> "Engine":
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import NullPool, StaticPool

        in_memory = url.database in (None, "", ":memory:")
        engine = create_engine(
            url,
            # What is in memory lives as long as its one connection.
            poolclass=StaticPool if in_memory else NullPool,
            connect_args={"timeout": _PATIENCE, **({"check_same_thread": False} if in_memory else {})},
            hide_parameters=True,
        )
        event.listen(engine, "begin", _begin)
        return engine

    def bound(self, value: Any) -> Any:
        if isinstance(value, dt.datetime):
            return value.isoformat(sep=" ")
        if isinstance(value, (dt.date, dt.time)):
            return value.isoformat()
        if isinstance(value, (Decimal, uuid.UUID)):
            return str(value)
        if isinstance(value, (dict, list)):
            return json.dumps(value)
        return value


def _begin(connection: Any) -> None:
    # Python's driver begins a transaction before an insert and not before a create table, so that a script that fails
    # half-way would leave its tables behind.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN")
