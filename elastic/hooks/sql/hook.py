"""One hook for all SQL databases."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from elastic.core.errors import UsageError
from elastic.hooks.connection import Connection
from elastic.hooks.formats.csv import COMMAS, CsvFormat, CsvReader, CsvWriter, opened, replaced
from elastic.hooks.formats.dataframes import pandas_frame, polars_frame
from elastic.hooks.formats.json import json_array
from elastic.hooks.hook import ConnectionTest, Hook
from elastic.hooks.sql.backends.backend import Backend
from elastic.hooks.sql.backends.identifiers import column_names, table_parts
from elastic.hooks.sql.rows import checked, split_records
from elastic.hooks.sql.session import SqlSession, StatementResult
from elastic.hooks.sql.statements import statements

if TYPE_CHECKING:
    import pandas
    import polars
    from sqlalchemy import Engine, Executable

Parameters = Mapping[str, Any] | None

#: Number of rows in memory while a result is streamed.
_ROWS_AT_ONCE = 1000


class SqlHook(Hook):
    """Hook that runs statements on any database that SQLAlchemy supports, and moves rows in and out of it.

    Statements are SQL strings with `:name` for parameters, or SQLAlchemy statements. A string without parameters is
    sent unchanged, including colons and percent signs. Each call is one transaction: it commits when the call returns,
    and rolls back when the call raises.

        hook = SqlHook("warehouse")
        hook.load_csv("people.csv", "staging.people")
        hook.get_records("select id, name from staging.people where name = :name", {"name": "Ada"})

    Args:
        conn_id: The id of a connection, looked up at first use, or a connection.
        url: Alternatively, the URL of a database, such as `sqlite:////var/lib/words.db`.

    Raises:
        UsageError: Both or neither are given, or the URL is invalid.
    """

    def __init__(self, conn_id: str | Connection | None = None, *, url: str | None = None) -> None:
        if (conn_id is None) == (url is None):
            raise UsageError(f"{type(self).__name__} needs either the id of a connection or a url.")
        super().__init__(Connection.of_url(url) if conn_id is None else conn_id)  # type: ignore[arg-type]
        self._session: SqlSession | None = None

    def get_records(self, sql: "str | Executable", parameters: Parameters = None) -> list[tuple[Any, ...]]:
        """Return all rows of a query.

        Raises:
            StatementError: The database refused the statement, or it returns no rows.
            UnreachableError: The database does not answer.
        """
        with self._run_query(sql, parameters) as result:
            return [tuple(row) for row in result.rows()]

    def get_first(self, sql: "str | Executable", parameters: Parameters = None) -> tuple[Any, ...] | None:
        """Return the first row of a query, or None if there is none."""
        with self._run_query(sql, parameters) as result:
            return next(result.rows(), None)

    def run(
        self,
        sql: "str | Executable | Sequence[str | Executable]",
        parameters: Parameters = None,
        *,
        autocommit: bool = False,
    ) -> int:
        """Run statements in one transaction and commit it; return the number of rows that they changed.

        A string is split at the semicolons that end a statement. Each element of a list is sent as one statement, so a
        procedure with semicolons in its body must be passed in a list. All statements share the parameters.

        Args:
            sql: A string of one or more statements, or a list of statements.
            parameters: Values for `:name`.
            autocommit: Commit after each statement. Some statements refuse a transaction, such as VACUUM of PostgreSQL.

        Raises:
            StatementError: The database refused a statement; names it. Those before it are undone, except where the
                database commits by itself (MySQL, at changes of tables).
        """
        given: Sequence[Any] = (
            statements(sql, self.connection.backend)
            if isinstance(sql, str)
            else sql
            if isinstance(sql, (list, tuple))
            else [sql]
        )
        if not given:
            raise UsageError(f"there is no statement in {sql!r}.")
        changed = 0
        with self._open().transaction("the statement", autocommit=autocommit) as transaction:
            for statement in given:
                with transaction.execute(statement, parameters) as result:
                    changed += max(0, result.changed)
        return changed

    @contextmanager
    def stream(self, sql: "str | Executable", parameters: Parameters = None) -> Iterator[StatementResult]:
        """Stream the rows of a query, and close the connection when the block ends.

        with hook.stream("select * from words") as result:
            print(result.columns)
            for row in result.rows(): ...
        """
        with (
            self._open().transaction("the query", rows_at_once=_ROWS_AT_ONCE) as transaction,
            transaction.execute(sql, parameters) as result,
        ):
            yield result.of_query()

    def to_csv(
        self,
        sql: "str | Executable",
        path: str | os.PathLike[str],
        parameters: Parameters = None,
        *,
        form: CsvFormat = COMMAS,
    ) -> int:
        """Write the rows of a query to a CSV file and return their number.

        The complete file replaces an existing one.
        """
        with self.stream(sql, parameters) as result, replaced(path, form.encoding) as file:
            writer = CsvWriter(file, form)
            if form.header:
                writer.write([result.columns])
            return writer.write(result.rows())

    def load_csv(
        self,
        path: str | os.PathLike[str],
        table: str,
        *,
        columns: Sequence[str] | None = None,
        before: str | None = None,
        form: CsvFormat = COMMAS,
    ) -> int:
        """Insert the rows of a CSV file into a table and return their number; all of them, or none.

        Fields are texts, of which the database makes the types of its columns. The file is read as it is inserted.

        Args:
            path: The file.
            table: `table`, `schema.table` or `database.schema.table`.
            columns: Names of the table's columns in the order of the file's; without them the header names them.
            before: Statements that run first, in the same transaction, as a delete of the rows of a day.
            form: How the file is written.

        Raises:
            FileAccessError: The file cannot be read.
            RowError: A line is not a row; the message names the line.
            StatementError: The database refused a row.
        """
        with opened(path, form.encoding) as file:
            reader = CsvReader(file, os.fspath(path), form)
            names = reader.header() if form.header else ()
            wanted = column_names(columns if columns is not None else names)
            return self._insert(table, wanted, reader.rows(len(wanted)), before)

    def get_pandas_df(self, sql: "str | Executable", parameters: Parameters = None) -> "pandas.DataFrame":
        """Return the rows of a query as a pandas DataFrame.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        with self._run_query(sql, parameters) as result:
            return pandas_frame(result.columns, list(result.rows()))

    def get_polars_df(self, sql: "str | Executable", parameters: Parameters = None) -> "polars.DataFrame":
        """Return the rows of a query as a polars DataFrame.

        Raises:
            MissingPackageError: polars is not installed.
        """
        with self._run_query(sql, parameters) as result:
            return polars_frame(result.columns, list(result.rows()))

    def to_json(self, sql: "str | Executable", parameters: Parameters = None) -> str:
        """Return the rows of a query as a JSON array of objects, dates as ISO 8601."""
        with self.stream(sql, parameters) as result:
            return json_array(result.columns, result.rows())

    def insert_rows(
        self,
        table: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        columns: Sequence[str] | None = None,
        *,
        before: str | None = None,
    ) -> int:
        """Insert rows, all of them or none, and return their number.

        Args:
            table: `table`, `schema.table` or `database.schema.table`.
            rows: Dicts from column name to value, or sequences in the order of `columns`; taken as they come.
            columns: Names of the columns; without them the first dict names them.
            before: Statements that run first, in the same transaction, as a delete of the rows of a day.
        """
        names, values = split_records(rows, columns)
        return self._insert(table, names, values, before)

    def upsert_rows(
        self,
        table: str,
        rows: Iterable[Sequence[Any] | Mapping[str, Any]],
        key: str | Sequence[str],
        columns: Sequence[str] | None = None,
    ) -> int:
        """Insert rows, or where a row with the same key is, give it the new values; doing it twice changes nothing.

        All rows or none. Of rows with equal keys the last wins. The table must have a primary key or a unique index
        over the key.

        Returns:
            The number of rows that were given.
        """
        parts = column_names((key,) if isinstance(key, str) else key)
        names, values = split_records(rows, columns)
        if not names:
            return 0
        missing = [part for part in parts if part not in names]
        if missing:
            raise UsageError(f"the key {missing[0]!r} is not among the columns {', '.join(names)}.")
        table_parts(table)
        with self._open().transaction(f"upserting into {table}") as transaction:
            return self._backend.upsert(transaction.connection, table, names, parts, checked(values, len(names)))

    def test_connection(self) -> ConnectionTest:
        """Ask the database for a 1."""
        try:
            self.get_first("select 1")
        except Exception as error:  # whatever is wrong is the answer
            return ConnectionTest(False, self._masked(str(error)))
        return ConnectionTest(True, f"{self.connection} answers.")

    def get_conn(self) -> Any:
        """Return a connection of the driver (DB-API), which the caller closes."""
        return self.get_sqlalchemy_engine().raw_connection()

    def get_sqlalchemy_engine(self) -> "Engine":
        """Return the SQLAlchemy engine that this hook uses."""
        return self._open().engine

    @property
    def _backend(self) -> Backend:
        return self._open().backend

    def _insert(self, table: str, columns: tuple[str, ...], rows: Iterable[Sequence[Any]], before: str | None) -> int:
        table_parts(table)
        first = statements(before, self.connection.backend) if before else []
        if not columns and not first:
            return 0
        with self._open().transaction(f"inserting into {table}") as transaction:
            for statement in first:
                with transaction.execute(statement, None):
                    pass
            transaction.shown = ""
            if not columns:
                return 0
            return self._backend.insert(transaction.connection, table, columns, checked(rows, len(columns)))

    @contextmanager
    def _run_query(self, sql: "str | Executable", parameters: Parameters) -> Iterator[StatementResult]:
        with (
            self._open().transaction("the query") as transaction,
            transaction.execute(sql, parameters) as result,
        ):
            yield result.of_query()

    def _open(self) -> SqlSession:
        if self._session is None:
            self._session = SqlSession(self.connection)
        return self._session

    def _masked(self, text: str) -> str:
        return self._found.masked(text) if self._found else text

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_session": None}
