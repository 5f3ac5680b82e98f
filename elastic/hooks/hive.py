"""Hook for Hive, through HiveServer2."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elastic.core.errors import UsageError
from elastic.core.text import error_text
from elastic.hooks.errors import MissingPackageError, StatementError, UnreachableError
from elastic.hooks.hook import ConnectionTest, Hook
from elastic.hooks.sql.backends.identifiers import table_parts

#: Port of HiveServer2, and seconds until it must accept.
_PORT, _CONNECT_SECONDS = 10_000, 10

#: One column of a partition: `ds='2016-02-22'` or `hour=3`.
_COLUMN = re.compile(r"\s*([A-Za-z_]\w*)\s*=\s*(?:'([^'\\]*)'|\"([^\"\\]*)\"|(-?\d+))\s*")

#: Words in the errors of Hive about a table or a partition that is not there.
_ABSENT = ("table not found", "tablenotfound", "table_or_view_not_found", "nosuchpartition", "partition not found")


class HiveHook(Hook):
    """Hook that runs HiveQL: `hive2://user:password@host:10000/database?auth=PLAIN`."""

    def get_records(self, hql: str) -> list[tuple[Any, ...]]:
        """Return all rows of a statement.

        Raises:
            StatementError: Hive refused it.
            UnreachableError: Hive does not answer.
        """
        with self._cursor() as cursor:
            try:
                cursor.execute(hql)
                return [tuple(row) for row in cursor.fetchall()]
            except Exception as error:
                raise StatementError(str(self.connection), repr(hql[:80]), _reason(error)) from error

    def check_for_partition(self, schema: str, table: str, partition: str) -> bool:
        """Return whether a table has a partition; a table that does not exist has none.

        Args:
            schema: The database.
            table: The table.
            partition: Such as `ds='2016-02-22'`, or several columns with `and`.

        Raises:
            UsageError: A name or the partition is invalid.
        """
        name = ".".join(table_parts(f"{schema}.{table}"))
        spec = ", ".join(f"{column}='{value}'" for column, value in partition_columns(partition).items())
        try:
            return bool(self.get_records(f"SHOW PARTITIONS {name} PARTITION ({spec})"))
        except StatementError as error:
            if any(word in error.reason.lower() for word in _ABSENT):
                return False
            raise

    def test_connection(self) -> ConnectionTest:
        """Ask Hive for a 1."""
        try:
            self.get_records("select 1")
        except Exception as error:  # whatever is wrong is the answer
            return ConnectionTest(False, self.connection.masked(error_text(error)))
        return ConnectionTest(True, f"{self.connection} answers.")

    @contextmanager
    def _cursor(self) -> Iterator[Any]:
        connection = self._connect()
        try:
            cursor = connection.cursor()
            try:
                yield cursor
            finally:
                cursor.close()
        finally:
            connection.close()

    def _connect(self) -> Any:
        try:
            from impala.dbapi import connect
        except ModuleNotFoundError as error:
            raise MissingPackageError("HiveHook", "impyla", "hive") from error
        found = self.connection
        try:
            return connect(
                host=found.host or "localhost",
                port=found.port or _PORT,
                user=found.login,
                password=found.password,
                database=found.schema or "default",
                timeout=_CONNECT_SECONDS,
                auth_mechanism=found.extra.get("auth", "PLAIN"),
            )
        except Exception as error:
            # Thrift and SASL have errors of their own.
            raise UnreachableError(str(found), found.masked(_reason(error))) from error


def partition_columns(partition: str) -> dict[str, str]:
    """Return the columns of a partition with their values.

    Raises:
        UsageError: The string has another form.
    """
    found: dict[str, str] = {}
    parts = re.split(r"(?:\s+and\s+|,|/)(?=\s*[A-Za-z_]\w*\s*=)", partition.strip(), flags=re.IGNORECASE)
    for part in parts:
        match = _COLUMN.fullmatch(part)
        if match is None:
            raise UsageError(
                f"invalid partition {partition!r}: expected column='value', several of them joined by `and`."
            )
        found[match[1]] = next(value for value in match.groups()[1:] if value is not None)
    return found


def _reason(error: Exception) -> str:
    return error_text(error) or type(error).__name__
