"""Hooks by the kind of a connection."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType

from elastic.hooks.connection import Connection
from elastic.hooks.connection_lookup import connection
from elastic.hooks.errors import UnknownKindError
from elastic.hooks.hook import Hook
from elastic.plugins.plugin import find, names

_GROUP = "elastic.hooks"

_SQL = ("elastic.hooks.sql.hook", "SqlHook")
_FILES = ("elastic.hooks.files.hook", "FileHook")

#: Module and class of each hook of Elastic, by kind.
_HOOKS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "postgresql": _SQL,
        "mysql": _SQL,
        "sqlite": _SQL,
        "duckdb": _SQL,
        "file": _FILES,
        "s3": _FILES,
        "webhdfs": _FILES,
        "smtp": ("elastic.hooks.mail", "SmtpHook"),
        "smtps": ("elastic.hooks.mail", "SmtpHook"),
    }
)


def hook_of(target: str | Connection) -> Hook:
    """Return the hook for a connection, by its kind: one of Elastic, or a plug-in of the group `elastic.hooks`.

    Args:
        target: The id of a connection, or a connection.

    Raises:
        ConnectionNotDefinedError: No connection has the id.
        UnknownKindError: There is no hook for the kind.
        PluginError: The plug-in of this kind cannot be loaded.
    """
    found = target if isinstance(target, Connection) else connection(target)
    return _class_of(found)(found)


def _class_of(found: Connection) -> type[Hook]:
    kind = found.backend
    if kind in _HOOKS:
        return _class_at(*_HOOKS[kind])
    plugin = find(_GROUP, kind)
    if plugin is None and _is_database(kind):
        return _class_at(*_SQL)
    if not (isinstance(plugin, type) and issubclass(plugin, Hook)):
        raise UnknownKindError(found.conn_id or str(found), kind, ", ".join(sorted({*_HOOKS, *names(_GROUP)})))
    return plugin


def _class_at(module: str, name: str) -> type[Hook]:
    found: type[Hook] = getattr(import_module(module), name)
    return found


def _is_database(kind: str) -> bool:
    """Return whether SQLAlchemy knows a kind of databases."""
    from sqlalchemy.dialects import registry
    from sqlalchemy.exc import NoSuchModuleError

    try:
        registry.load(kind)
    except (NoSuchModuleError, ImportError):
        return False
    return True
