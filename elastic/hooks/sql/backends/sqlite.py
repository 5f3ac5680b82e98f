"""SQLite, with the driver of the standard library."""

import datetime as dt
import json
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from elastic.hooks.sql.backends.backend import Backend

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

#: Seconds that a statement waits for the transaction of another process.
_LOCK_TIMEOUT = 30


class SqliteBackend(Backend):
    """Adapter for SQLite: a file, or an in-memory database."""

    name = "sqlite"
    driver = "sqlite+pysqlite"

    def engine(self, url: "URL") -> "Engine":
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import NullPool, StaticPool

        in_memory = url.database in (None, "", ":memory:")
        engine = create_engine(
            url,
            # An in-memory database exists as long as its only connection.
            poolclass=StaticPool if in_memory else NullPool,
            connect_args={"timeout": _LOCK_TIMEOUT, **({"check_same_thread": False} if in_memory else {})},
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
    # Python's driver begins no transaction before CREATE TABLE, so a script that fails halfway would leave its tables
    # behind.
    if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
        connection.exec_driver_sql("BEGIN")
