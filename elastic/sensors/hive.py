"""Sensor of a partition of a Hive table."""

from collections.abc import Sequence
from typing import Any, ClassVar

from elastic.sensors.sensor import BaseSensor
from elastic.triggers.hive import HivePartitionTrigger


class HivePartitionSensor(BaseSensor):
    """Sensor that waits for a partition of a Hive table.

    Args:
        table: The table, `table` or `schema.table`. Rendered as a template.
        partition: The partition, such as `ds='2016-02-22' and hour=3`. Rendered as a template.
        conn_id: The id of a connection, such as `hive2://user@host:10000/default`.
        schema: The database, if `table` does not name it.
        settings: Settings of `BaseSensor`.
    """

    template_fields: ClassVar[Sequence[str]] = ("table", "partition", "schema")

    def __init__(
        self,
        table: str,
        partition: str = "ds='{{ ds }}'",
        conn_id: str = "hive_default",
        *,
        schema: str = "default",
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.table, self.partition, self.conn_id, self.schema = table, partition, conn_id, schema

    def trigger(self) -> HivePartitionTrigger:
        schema, _, table = self.table.rpartition(".")
        return HivePartitionTrigger(
            connection=self.conn_id, table=table, partition=self.partition, schema=schema or self.schema
        )
