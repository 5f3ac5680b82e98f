"""Executors: run the commands of task instances. They do not know DAGs or the database."""

from typing import TYPE_CHECKING

from elastic._lazy import attach

if TYPE_CHECKING:
    from elastic.executors.executor import Executor, ExecutorEvent, TaskCommand
    from elastic.executors.inline import InlineExecutor
    from elastic.executors.local import LocalExecutor, SequentialExecutor
    from elastic.executors.ray import RayExecutor

__all__ = [
    "TaskCommand",
    "Executor",
    "ExecutorEvent",
    "InlineExecutor",
    "LocalExecutor",
    "RayExecutor",
    "SequentialExecutor",
]

_HOMES = {
    "elastic.executors.executor": ("TaskCommand", "Executor", "ExecutorEvent"),
    "elastic.executors.inline": ("InlineExecutor",),
    "elastic.executors.local": ("LocalExecutor", "SequentialExecutor"),
    "elastic.executors.ray": ("RayExecutor",),
}

__getattr__, __dir__ = attach(__name__, _HOMES)
