"""Sensors: tasks that wait until a condition holds."""

from typing import TYPE_CHECKING

from elastic._lazy import attach

if TYPE_CHECKING:
    from elastic.sensors.external_task import ExternalTaskSensor
    from elastic.sensors.files import FileSensor, S3DatepartSensor
    from elastic.sensors.hive import HivePartitionSensor
    from elastic.sensors.http import HttpSensor
    from elastic.sensors.poked import CommandSensor, PythonSensor
    from elastic.sensors.sensor import BaseSensor, PokeReturnValue
    from elastic.sensors.sql import SqlSensor
    from elastic.sensors.time import DayOfWeekSensor, TimeDeltaSensor, TimeSensor

__all__ = [
    # base class of sensors, and what a poke may return
    "BaseSensor",
    "PokeReturnValue",
    # files and tables
    "FileSensor",
    "S3DatepartSensor",
    "SqlSensor",
    "HivePartitionSensor",
    # other systems
    "HttpSensor",
    "CommandSensor",
    "PythonSensor",
    # runs of other DAGs
    "ExternalTaskSensor",
    # times
    "TimeSensor",
    "TimeDeltaSensor",
    "DayOfWeekSensor",
]

#: Where each name lives: imported when it is first used, so that a DAG file loads only what it names.
_HOMES = {
    "elastic.sensors.external_task": ("ExternalTaskSensor",),
    "elastic.sensors.files": ("FileSensor", "S3DatepartSensor"),
    "elastic.sensors.hive": ("HivePartitionSensor",),
    "elastic.sensors.http": ("HttpSensor",),
    "elastic.sensors.poked": ("CommandSensor", "PythonSensor"),
    "elastic.sensors.sensor": ("BaseSensor", "PokeReturnValue"),
    "elastic.sensors.sql": ("SqlSensor",),
    "elastic.sensors.time": ("DayOfWeekSensor", "TimeDeltaSensor", "TimeSensor"),
}

__getattr__, __dir__ = attach(__name__, _HOMES)
