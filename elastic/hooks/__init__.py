"""Hooks talk to other systems: each is made of the id of a connection, and opens nothing before it is used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic.hooks.connection import Connection
    from elastic.hooks.errors import ConnectionNotDefinedError, HookError
    from elastic.hooks.formats.csv import CsvFormat
    from elastic.hooks.hook import ConnectionTest, Hook
    from elastic.hooks.sql.hook import SqlHook
    from elastic.hooks.sql.named_hooks import DuckDbHook, MySqlHook, PostgresHook, SqliteHook

__all__ = [
    "ConnectionTest",
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
    "ConnectionTest": "hook",
    "Connection": "connection",
    "ConnectionNotDefinedError": "errors",
    "CsvFormat": "formats.csv",
    "DuckDbHook": "sql.named_hooks",
    "Hook": "hook",
    "HookError": "errors",
    "MySqlHook": "sql.named_hooks",
    "PostgresHook": "sql.named_hooks",
    "SqlHook": "sql.hook",
    "SqliteHook": "sql.named_hooks",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"elastic.hooks.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'elastic.hooks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
