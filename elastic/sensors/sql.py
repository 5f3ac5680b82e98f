"""Sensor of a SQL query."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from elastic.dag.errors import DefinitionError
from elastic.dag.execution.xcom import encode_xcom
from elastic.sensors.sensor import BaseSensor
from elastic.triggers.sql import SqlTrigger


class SqlSensor(BaseSensor):
    """Sensor that waits until the first cell of a query is neither 0, '0', '' nor NULL. No row means not yet.

        SqlSensor(task_id="loaded", conn_id="warehouse", sql="select count(*) from t where day = '{{ ds }}'")

    Args:
        sql: A query, or the name of a file that ends in `.sql`; rendered as a template. Only its first row is read.
        conn_id: The id of a connection; by default `conn_id` of the DAG's default_args.
        parameters: Values for `:name` in the query; strings are rendered as templates.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("sql", "parameters")
    template_ext: ClassVar[Sequence[str]] = (".sql",)
    file_fields: ClassVar[Sequence[str] | None] = ("sql",)

    def __init__(
        self,
        sql: str,
        conn_id: str | None = None,
        *,
        parameters: Mapping[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.conn_id = self.default("conn_id", conn_id)
        if not isinstance(self.conn_id, str) or not self.conn_id:
            raise DefinitionError(f"SqlSensor {self.task_id!r} needs conn_id, the id of a connection.")
        self.sql = self._text("sql", sql)
        self.parameters = parameters

    def trigger(self) -> SqlTrigger:
        for name, value in (self.parameters or {}).items():
            encode_xcom(value, task_id=self.task_id, key=name)
        return SqlTrigger(connection=self.conn_id, sql=self.sql, parameters=dict(self.parameters or {}))
