"""Tasks that run SQL."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.errors import DefinitionError
from elastic.dag.operator import BaseOperator
from elastic.hooks.sql.hook import SqlHook
from elastic.hooks.sql.named_hooks import MySqlHook, PostgresHook, SqliteHook


class SqlOperator(BaseOperator):
    """Runs one or more statements in one transaction.

    Where a task may run again for the same date, write statements that may: delete the rows of the date first.

        SqlOperator(task_id="count", conn_id="warehouse", sql="delete from t where day = '{{ ds }}'; insert into t ...")

    Args:
        sql: Statements, or the name of a file that ends in `.sql`; rendered as a template.
        conn_id: The id of a connection; by default `conn_id` of the DAG's default_args.
        parameters: Values for `:name` in the statements; texts in it are rendered as templates.
        autocommit: Commit after each statement, for those that refuse a transaction.
        settings: What every task takes.
    """

    template_fields: ClassVar[Sequence[str]] = ("sql", "parameters")
    template_ext: ClassVar[Sequence[str]] = (".sql",)
    file_fields: ClassVar[Sequence[str] | None] = ("sql",)
    ui_color: ClassVar[str] = "#ededed"

    #: the hook that the statements go through
    hook_type: ClassVar[type[SqlHook]] = SqlHook
    #: the connection where neither the task nor the DAG names one
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
        """A hook on the connection of the task."""
        return self.hook_type(self.conn_id)

    def execute(self) -> None:
        hook = self.hook
        self.log.info("Executing: %s", hook.connection.masked(str(self.sql)))
        changed = hook.run(self.sql, self.parameters, autocommit=self.autocommit)
        self.log.info("Rows changed: %d", changed)


class SqliteOperator(SqlOperator):
    """Runs statements on SQLite."""

    hook_type: ClassVar[type[SqlHook]] = SqliteHook
    default_conn_id: ClassVar[str | None] = "sqlite_default"


class PostgresOperator(SqlOperator):
    """Runs statements on PostgreSQL."""

    hook_type: ClassVar[type[SqlHook]] = PostgresHook
    default_conn_id: ClassVar[str | None] = "postgres_default"


class MySqlOperator(SqlOperator):
    """Runs statements on MySQL or MariaDB, each change of a table's definition being a transaction of its own.

    Args:
        sql: Statements, or the name of a file that ends in `.sql`; rendered as a template.
        mysql_dbid: The id of a connection; by default `mysql_dbid` of the DAG's default_args.
        settings: What SqlOperator takes.
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
    """Return the id of a connection that a task was given, or that its DAG names for all its tasks.

    Raises:
        DefinitionError: Neither names one.
    """
    conn_id = task.default(setting, given, otherwise)
    if not isinstance(conn_id, str) or not conn_id:
        raise DefinitionError(
            f"{task.operator_type} {task.task_id!r} needs {setting}, the id of a connection, not {conn_id!r}."
        )
    return conn_id
