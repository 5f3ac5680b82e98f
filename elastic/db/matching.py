"""Shared parts of SQL statements: matching of task instances and of given keys, and inserts that skip rows."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Integer, Table, and_, bindparam, false, func

from elastic.dag.ids import TaskKey
from elastic.db.schema.types import Key


def key_match(columns: Any) -> ColumnElement[bool]:
    """Match the primary key of a task instance against the values of `key_bind`."""
    return and_(
        columns.dag_id == bindparam("k_dag", type_=Key),
        columns.run_id == bindparam("k_run", type_=Key),
        columns.task_id == bindparam("k_task", type_=Key),
        columns.map_index == bindparam("k_map", type_=Integer()),
    )


def key_bind(key: TaskKey) -> dict[str, Any]:
    """Return the parameters of `key_match`."""
    return {"k_dag": key.dag_id, "k_run": key.run_id, "k_task": key.task_id, "k_map": key.map_index}


def same(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Match a column of type `Key` or `Word` against a string from a user.

    A string with characters that keys cannot have matches nothing: MariaDB refuses to compare it with ASCII, and
    PostgreSQL refuses NUL.
    """
    return column == text if is_key_text(text) else false()


def beyond(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Match keys after a string from a user, as `same` does."""
    return column > text if is_key_text(text) else false()


def preceding(column: ColumnElement[Any], text: str) -> ColumnElement[bool]:
    """Match keys before a string from a user, as `same` does."""
    return column < text if is_key_text(text) else false()


def below(column: ColumnElement[Any], prefix: str) -> ColumnElement[bool]:
    """Match keys that start with a string from a user, as `same` does."""
    return column.startswith(prefix, autoescape=True) if is_key_text(prefix) else false()


def holding(column: ColumnElement[Any], part: str) -> ColumnElement[bool]:
    """Match keys that contain a string from a user, ignoring case, as `same` does."""
    return func.lower(column).contains(part.lower(), autoescape=True) if is_key_text(part) else false()


def is_key_text(text: str) -> bool:
    """Return whether every database can compare a string with keys."""
    return text.isascii() and "\0" not in text


def insert_if_absent(connection: Connection, table: Table) -> Insert:
    """Return an INSERT that skips rows whose key exists; its row count is the number of new rows."""
    return _ignoring(connection.dialect.name, table).execution_options(preserve_rowcount=True)


def _ignoring(dialect: str, table: Table) -> Insert:
    if dialect == "sqlite":
        from sqlalchemy.dialects import sqlite

        return sqlite.insert(table).on_conflict_do_nothing()
    if dialect == "postgresql":
        # imported here to keep start-up fast for users of SQLite
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table).on_conflict_do_nothing()
    return table.insert().prefix_with("IGNORE")
