"""Shared parts of SQL statements: matching of task instances, and inserts that skip existing rows."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Insert, Integer, Table, and_, bindparam

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
