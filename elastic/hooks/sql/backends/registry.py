"""From the name of a database to what we know of it."""

from elastic.hooks.sql.backends.backend import Backend
from elastic.hooks.sql.backends.duckdb import DuckDbBackend
from elastic.hooks.sql.backends.mysql import MySqlBackend
from elastic.hooks.sql.backends.postgres import PostgresBackend
from elastic.hooks.sql.backends.sqlite import SqliteBackend

_KNOWN: tuple[Backend, ...] = (SqliteBackend(), PostgresBackend(), MySqlBackend(), DuckDbBackend())


def backend_of(name: str) -> Backend:
    """Return the backend of this name, and a plain one for what only SQLAlchemy knows."""
    return next((backend for backend in _KNOWN if backend.name == name), Backend())
