"""Trigger of a partition of a Hive table."""

from dataclasses import dataclass
from typing import ClassVar

from elastic.dag.execution.wait import Answer
from elastic.triggers.trigger import Trigger, TriggerTools


@dataclass(frozen=True, slots=True, kw_only=True)
class HivePartitionTrigger(Trigger):
    """Holds once a Hive table has a partition."""

    kind: ClassVar[str] = "hive_partition"
    table: str
    #: such as `ds='2016-02-22'`, or several with `and`
    partition: str
    schema: str = "default"

    def check(self, tools: TriggerTools) -> Answer:
        from elastic.hooks.hive import HiveHook

        hook = HiveHook(tools.connection(self.connection or ""))
        name = f"partition {self.partition} of table {self.schema}.{self.table}"
        if hook.check_for_partition(self.schema, self.table, self.partition):
            return Answer(done=True, reason=f"{name} is there")
        return Answer(done=False, reason=f"there is no {name}")
