"""Hooks: clients of other systems, made from a connection id, which open a connection at first use."""

from typing import TYPE_CHECKING

from elastic._lazy import attach

if TYPE_CHECKING:
    from elastic.hooks.connection import Connection
    from elastic.hooks.errors import ConnectionNotDefinedError, HookError
    from elastic.hooks.files.hook import FileHook, FileInfo
    from elastic.hooks.formats.csv import CsvFormat
    from elastic.hooks.hive import HiveHook
    from elastic.hooks.hook import ConnectionTest, Hook
    from elastic.hooks.mail import SmtpHook
    from elastic.hooks.registry import hook_of
    from elastic.hooks.sql.hook import SqlHook
    from elastic.hooks.sql.named_hooks import DuckDbHook, MySqlHook, PostgresHook, SqliteHook

__all__ = [
    "ConnectionTest",
    "Connection",
    "ConnectionNotDefinedError",
    "CsvFormat",
    "DuckDbHook",
    "FileHook",
    "FileInfo",
    "HiveHook",
    "Hook",
    "HookError",
    "MySqlHook",
    "PostgresHook",
    "SmtpHook",
    "SqlHook",
    "SqliteHook",
    "hook_of",
]

#: Where each name lives: imported when it is first used.
_HOMES = {
    "elastic.hooks.connection": ("Connection",),
    "elastic.hooks.errors": ("ConnectionNotDefinedError", "HookError"),
    "elastic.hooks.files.hook": ("FileHook", "FileInfo"),
    "elastic.hooks.formats.csv": ("CsvFormat",),
    "elastic.hooks.hive": ("HiveHook",),
    "elastic.hooks.hook": ("ConnectionTest", "Hook"),
    "elastic.hooks.mail": ("SmtpHook",),
    "elastic.hooks.registry": ("hook_of",),
    "elastic.hooks.sql.hook": ("SqlHook",),
    "elastic.hooks.sql.named_hooks": ("DuckDbHook", "MySqlHook", "PostgresHook", "SqliteHook"),
}

__getattr__, __dir__ = attach(__name__, _HOMES)
