"""Triggers: conditions as plain values, which a triggerer checks without the DAG file."""

from typing import TYPE_CHECKING

from elastic._lazy import attach

if TYPE_CHECKING:
    from elastic.dag.execution.wait import Answer
    from elastic.triggers.files import FileTrigger
    from elastic.triggers.hive import HivePartitionTrigger
    from elastic.triggers.http import HttpTrigger
    from elastic.triggers.registry import trigger_of
    from elastic.triggers.runs import RunTrigger
    from elastic.triggers.sql import SqlTrigger
    from elastic.triggers.time import TimeTrigger
    from elastic.triggers.trigger import RunLookup, Trigger, TriggerTools

__all__ = [
    "Answer",
    "FileTrigger",
    "HivePartitionTrigger",
    "HttpTrigger",
    "RunLookup",
    "RunTrigger",
    "SqlTrigger",
    "TimeTrigger",
    "Trigger",
    "TriggerTools",
    "trigger_of",
]

#: Where each name lives: imported when it is first used.
_HOMES = {
    "elastic.dag.execution.wait": ("Answer",),
    "elastic.triggers.files": ("FileTrigger",),
    "elastic.triggers.hive": ("HivePartitionTrigger",),
    "elastic.triggers.http": ("HttpTrigger",),
    "elastic.triggers.registry": ("trigger_of",),
    "elastic.triggers.runs": ("RunTrigger",),
    "elastic.triggers.sql": ("SqlTrigger",),
    "elastic.triggers.time": ("TimeTrigger",),
    "elastic.triggers.trigger": ("RunLookup", "Trigger", "TriggerTools"),
}

__getattr__, __dir__ = attach(__name__, _HOMES)
