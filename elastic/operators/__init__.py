"""Operators: the kinds of tasks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic.operators.sql import MySqlOperator, PostgresOperator, SqliteOperator, SqlOperator
    from elastic.operators.transfer import FileToTableOperator, SqlToFileOperator, SqlToSqlOperator

__all__ = [
    # statements
    "SqlOperator",
    "SqliteOperator",
    "PostgresOperator",
    "MySqlOperator",
    # rows on the move
    "SqlToSqlOperator",
    "SqlToFileOperator",
    "FileToTableOperator",
]

#: Where each name lives: imported when it is first used, so that a DAG file loads only what it names.
_HOMES = {
    "elastic.operators.sql": ("SqlOperator", "SqliteOperator", "PostgresOperator", "MySqlOperator"),
    "elastic.operators.transfer": ("SqlToSqlOperator", "SqlToFileOperator", "FileToTableOperator"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'elastic.operators' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
