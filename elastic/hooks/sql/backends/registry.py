"""Lookup of backends by database name."""

from elastic.hooks.sql.backends.backend import Backend
from elastic.hooks.sql.backends.duckdb import DuckDbBackend
from elastic.hooks.sql.backends.mysql import MySqlBackend
from elastic.hooks.sql.backends.postgres import PostgresBackend
from elastic.hooks.sql.backends.sqlite import SqliteBackend

_KNOWN: tuple[Backend, ...] = (SqliteBackend(), PostgresBackend(), MySqlBackend(), DuckDbBackend())


def backend_of(name: str) -> Backend:
    """Return the backend of this name, or the default one for databases that only SQLAlchemy knows."""
    return next((backend for backend in _KNOWN if backend.name == name), Backend())
