"""Executors: what runs task instances. They know commands, not DAGs, and no database."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'elastic.executors' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
