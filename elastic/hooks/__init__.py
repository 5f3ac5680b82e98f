"""Hooks talk to other systems: each is made of the id of a connection, and opens nothing before it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic.hooks.connection import Connection
    from elastic.hooks.csv_file import CsvFormat
    from elastic.hooks.duckdb_hook import DuckDbHook
    from elastic.hooks.errors import ConnectionNotDefinedError, HookError
    from elastic.hooks.hook import Answer, Hook
    from elastic.hooks.mysql_hook import MySqlHook
    from elastic.hooks.postgres_hook import PostgresHook
    from elastic.hooks.sql_hook import SqlHook
    from elastic.hooks.sqlite_hook import SqliteHook

__all__ = [
    "Answer",
    "Connection",
    "ConnectionNotDefinedError",
    "CsvFormat",
    "DuckDbHook",
    "Hook",
    "HookError",
    "MySqlHook",
    "PostgresHook",
    "SqlHook",
    "SqliteHook",
]

#: Where each name lives: imported when it is first used.
_HOMES = {
    "Answer": "hook",
    "Connection": "connection",
    "ConnectionNotDefinedError": "errors",
    "CsvFormat": "csv_file",
    "DuckDbHook": "duckdb_hook",
    "Hook": "hook",
    "HookError": "errors",
    "MySqlHook": "mysql_hook",
    "PostgresHook": "postgres_hook",
    "SqlHook": "sql_hook",
    "SqliteHook": "sqlite_hook",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"elastic.hooks.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'elastic.hooks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
