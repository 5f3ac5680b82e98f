"""Executors: what runs task instances. They know commands, not DAGs, and no database."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic.executors.command import Command
    from elastic.executors.executor import Executor, ExecutorEvent
    from elastic.executors.inline import InlineExecutor
    from elastic.executors.local import LocalExecutor
    from elastic.executors.ray_executor import RayExecutor
    from elastic.executors.sequential import SequentialExecutor

__all__ = [
    "Command",
    "Executor",
    "ExecutorEvent",
    "InlineExecutor",
    "LocalExecutor",
    "RayExecutor",
    "SequentialExecutor",
]

_HOMES = {
    "elastic.executors.command": ("Command",),
    "elastic.executors.executor": ("Executor", "ExecutorEvent"),
    "elastic.executors.inline": ("InlineExecutor",),
    "elastic.executors.local": ("LocalExecutor",),
    "elastic.executors.ray_executor": ("RayExecutor",),
    "elastic.executors.sequential": ("SequentialExecutor",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'elastic.executors' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
