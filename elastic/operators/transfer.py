"""Tasks that copy rows between databases and files in batches of a few thousand, all or none."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

from elastic.dag.errors import DefinitionError
from elastic.dag.operator import BaseOperator
from elastic.hooks.formats.csv import COMMAS, CsvFormat
from elastic.hooks.sql.hook import SqlHook
from elastic.operators.sql import named_connection


class SqlToSqlOperator(BaseOperator):
    """Task that copies the rows of a query to a table of the same or another database, in one target transaction.

    Pass `key`, or a `before` that deletes the rows of the date, so that the task can run again for the same date.

    Args:
        sql: The query; its columns are those of the table.
        source_conn_id: The connection of the query.
        target_conn_id: The connection of the table.
        table: `table`, `schema.table` or `database.schema.table`.
        key: Columns that identify a row; an existing row is updated.
        before: Statements that run first on the target, in the same transaction.
        settings: Settings of every task.
    """

    template_fields: ClassVar[Sequence[str]] = ("sql", "table", "before")
    template_ext: ClassVar[Sequence[str]] = (".sql",)
    file_fields: ClassVar[Sequence[str] | None] = ("sql", "before")
    ui_color: ClassVar[str] = "#b5e2ff"

    def __init__(
        self,
        sql: str,
        table: str,
        *,
        source_conn_id: str | None = None,
        target_conn_id: str | None = None,
        key: str | Sequence[str] | None = None,
        before: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.source_conn_id = named_connection(self, "source_conn_id", source_conn_id)
        self.target_conn_id = named_connection(self, "target_conn_id", target_conn_id)
        self.sql, self.table, self.key, self.before = sql, table, key, before
        if key and before:
            raise DefinitionError(
                f"task {self.task_id!r} has both key and before. Remove one of them; each makes the task repeatable."
            )

    def execute(self) -> int:
        source, target = SqlHook(self.source_conn_id), SqlHook(self.target_conn_id)
        # SQLite cannot commit to a file during a read, so keep the rows in memory.
        is_same_file = source.connection.backend == "sqlite" and source.connection.schema == target.connection.schema
        with source.stream(self.sql) as result:
            columns = result.columns
            if not is_same_file:
                return self._write(target, result.rows(), columns)
            in_memory = list(result.rows())
        return self._write(target, in_memory, columns)

    def _write(self, target: SqlHook, rows: Iterable[Sequence[Any]], columns: Sequence[str]) -> int:
        if self.key:
            count = target.upsert_rows(self.table, rows, self.key, columns)
        else:
            count = target.insert_rows(self.table, rows, columns, before=self.before)
        self.log.info("Rows copied into %s: %d", self.table, count)
        return count


class FileToTableOperator(BaseOperator):
    """Task that loads a CSV file into a table, in one transaction.

    Args:
        path: The file; rendered as a template.
        table: `table`, `schema.table` or `database.schema.table`.
        conn_id: The connection of the table.
        columns: Columns of the table in the order of the file; by default those in the header.
        before: Statements that run first in the same transaction, such as a delete of the rows of the date.
        form: The format of the file.
        settings: Settings of every task.
    """

    template_fields: ClassVar[Sequence[str]] = ("path", "table", "before")
    ui_color: ClassVar[str] = "#b5e2ff"

    def __init__(
        self,
        path: str | os.PathLike[str],
        table: str,
        *,
        conn_id: str | None = None,
        columns: Sequence[str] | None = None,
        before: str | None = None,
        form: CsvFormat = COMMAS,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.conn_id = named_connection(self, "conn_id", conn_id)
        self.path, self.table, self.columns, self.before, self.form = os.fspath(path), table, columns, before, form

    def execute(self) -> int:
        hook = SqlHook(self.conn_id)
        count = hook.load_csv(self.path, self.table, columns=self.columns, before=self.before, form=self.form)
        self.log.info("Rows loaded into %s: %d", self.table, count)
        return count


class SqlToFileOperator(BaseOperator):
    """Task that writes the rows of a query to a CSV file. The file appears only when it is complete.

    Args:
        sql: The query, or the name of a file that ends in `.sql`; rendered as a template.
        path: The file; rendered as a template.
        conn_id: The connection of the query.
        form: The format of the file.
        settings: Settings of every task.
    """

    template_fields: ClassVar[Sequence[str]] = ("sql", "path")
    template_ext: ClassVar[Sequence[str]] = (".sql",)
    file_fields: ClassVar[Sequence[str] | None] = ("sql",)
    ui_color: ClassVar[str] = "#b5e2ff"

    def __init__(
        self,
        sql: str,
        path: str | os.PathLike[str],
        *,
        conn_id: str | None = None,
        form: CsvFormat = COMMAS,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.conn_id = named_connection(self, "conn_id", conn_id)
        self.sql, self.path, self.form = sql, os.fspath(path), form

    def execute(self) -> int:
        count = SqlHook(self.conn_id).to_csv(self.sql, self.path, form=self.form)
        self.log.info("Rows written to %s: %d", self.path, count)
        return count
