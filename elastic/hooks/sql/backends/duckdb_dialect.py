"""SQLAlchemy dialect for statements and transactions on DuckDB."""

from types import ModuleType
from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import IsolationLevel


class DuckDbDialect(DefaultDialect):
    """Dialect for SQL strings only: it compiles no statements and reflects no tables."""

    name = "duckdb"
    driver = "elastic"
    default_paramstyle = "qmark"
    supports_statement_cache = True
    supports_native_boolean = True

    @classmethod
    def import_dbapi(cls) -> ModuleType:
        import duckdb

        return duckdb

    def create_connect_args(self, url: URL) -> tuple[list[Any], dict[str, Any]]:
        # The query of the URL has settings of DuckDB itself, such as access_mode=read_only.
        return [url.database or ":memory:"], {"config": dict(url.query)} if url.query else {}

    def connect(self, *arguments: Any, **options: Any) -> Any:
        return _Transactions(super().connect(*arguments, **options))

    def do_begin(self, dbapi_connection: Any) -> None:
        dbapi_connection.begin()

    def get_isolation_level_values(self, dbapi_conn: Any) -> list[IsolationLevel]:
        return ["SERIALIZABLE", "AUTOCOMMIT"]

    def get_default_isolation_level(self, dbapi_conn: Any) -> IsolationLevel:
        return "SERIALIZABLE"

    def get_isolation_level(self, dbapi_connection: Any) -> IsolationLevel:
        return "AUTOCOMMIT" if dbapi_connection.autocommit else "SERIALIZABLE"

    def set_isolation_level(self, dbapi_connection: Any, level: IsolationLevel) -> None:
        dbapi_connection.autocommit = level == "AUTOCOMMIT"

    def initialize(self, connection: Any) -> None:
        """Ask nothing: what DefaultDialect would ask is not needed for statements as text."""


class _Transactions:
    """Wrapper of a DuckDB connection that allows commit and rollback outside a transaction, as other drivers do.

    SQLAlchemy rolls back each connection before it releases it.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._begun = False
        self.autocommit = False

    def begin(self) -> None:
        if not self.autocommit:
            self._connection.begin()
            self._begun = True

    def commit(self) -> None:
        if self._begun:
            self._begun = False
            self._connection.commit()

    def rollback(self) -> None:
        if self._begun:
            self._begun = False
            self._connection.rollback()

    def cursor(self) -> Any:
        # The connection itself is a cursor. A new cursor would be outside the transaction.
        return _Cursor(self._connection)

    def close(self) -> None:
        self._connection.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Cursor:
    """Wrapper that presents the connection as a cursor, and leaves it open on close."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.arraysize = 1

    def close(self) -> None:
        """Leave the connection open."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)
