"""Tasks that run SQL statements."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.errors import DefinitionError
from elastic.dag.operator import BaseOperator
from elastic.hooks.sql.hook import SqlHook
from elastic.hooks.sql.named_hooks import MySqlHook, PostgresHook, SqliteHook


class SqlOperator(BaseOperator):
    """Task that runs one or more statements in one transaction.

    A retry or a backfill may run the task again for the same date, so make the statements idempotent: delete the rows
    of the date first.

        SqlOperator(task_id="count", conn_id="warehouse", sql="delete from t where day = '{{ ds }}'; insert into t ...")

    Args:
        sql: Statements, or the name of a file that ends in `.sql`; rendered as a template.
        conn_id: The id of a connection; by default `conn_id` of the DAG's default_args.
        parameters: Values for `:name` in the statements; strings are rendered as templates.
        autocommit: Commit after each statement, for statements that cannot run in a transaction.
        settings: Settings of every task.
    """

    template_fields: ClassVar[Sequence[str]] = ("sql", "parameters")
    template_ext: ClassVar[Sequence[str]] = (".sql",)
    file_fields: ClassVar[Sequence[str] | None] = ("sql",)
    ui_color: ClassVar[str] = "#ededed"

    #: hook that runs the statements
    hook_type: ClassVar[type[SqlHook]] = SqlHook
    #: default connection, if neither the task nor the DAG names one
    default_conn_id: ClassVar[str | None] = None

    def __init__(
        self,
        sql: str | Sequence[str],
        conn_id: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        autocommit: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.conn_id = named_connection(self, "conn_id", conn_id, self.default_conn_id)
        self.sql = sql
        self.parameters = parameters
        self.autocommit = autocommit

    @property
    def hook(self) -> SqlHook:
        """Hook for the connection of the task."""
        return self.hook_type(self.conn_id)

    def execute(self) -> None:
        hook = self.hook
        self.log.info("Executing: %s", hook.connection.masked(str(self.sql)))
        changed = hook.run(self.sql, self.parameters, autocommit=self.autocommit)
        self.log.info("Rows changed: %d", changed)


class SqliteOperator(SqlOperator):
    """Task that runs statements on SQLite."""

    hook_type: ClassVar[type[SqlHook]] = SqliteHook
    default_conn_id: ClassVar[str | None] = "sqlite_default"


class PostgresOperator(SqlOperator):
    """Task that runs statements on PostgreSQL."""

    hook_type: ClassVar[type[SqlHook]] = PostgresHook
    default_conn_id: ClassVar[str | None] = "postgres_default"


class MySqlOperator(SqlOperator):
    """Task that runs statements on MySQL or MariaDB. These commit after each change of a table definition.

    Args:
        sql: Statements, or the name of a file that ends in `.sql`; rendered as a template.
        mysql_dbid: The id of a connection; by default `mysql_dbid` of the DAG's default_args.
        settings: See `SqlOperator`.
    """

    default_conn_id: ClassVar[str | None] = "mysql_default"

    def __init__(self, sql: str | Sequence[str], mysql_dbid: str | None = None, **settings: Any) -> None:
        given = mysql_dbid if mysql_dbid is not None else settings.pop("conn_id", None)
        super().__init__(sql, given, **settings)
        if given is None:
            self.conn_id = self.default_args.get("mysql_dbid", self.conn_id)

    @property
    def hook(self) -> MySqlHook:
        return MySqlHook(mysql_dbid=self.conn_id)


def named_connection(task: BaseOperator, setting: str, given: str | None, otherwise: str | None = None) -> str:
    """Return the connection id of a task: the given one, else that of the DAG's default_args.

    Raises:
        DefinitionError: Neither is set.
    """
    conn_id = task.default(setting, given, otherwise)
    if not isinstance(conn_id, str) or not conn_id:
        raise DefinitionError(
            f"{task.operator_type} {task.task_id!r} needs {setting}, the id of a connection, got {conn_id!r}."
        )
    return conn_id
