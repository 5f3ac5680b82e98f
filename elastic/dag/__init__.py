"""DAGs: what users define tasks and their order with."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from elastic.dag.action import Action
    from elastic.dag.bag import DagBag
    from elastic.dag.dag import DAG
    from elastic.dag.errors import TaskFailedForGood, TaskSkipped
    from elastic.dag.foreign_text import literal
    from elastic.dag.group import TaskGroup
    from elastic.dag.instance import TaskInstance
    from elastic.dag.link import chain
    from elastic.dag.operator import BaseOperator
    from elastic.dag.trigger_rule import TriggerRule

__all__ = [
    "DAG",
    "Action",
    "BaseOperator",
    "DagBag",
    "TaskFailedForGood",
    "TaskGroup",
    "TaskInstance",
    "TaskSkipped",
    "TriggerRule",
    "chain",
    "literal",
]

#: Where each name lives: imported when it is first used, because states and keys are wanted without the rest.
_HOMES = {
    "elastic.dag.action": ("Action",),
    "elastic.dag.bag": ("DagBag",),
    "elastic.dag.dag": ("DAG",),
    "elastic.dag.errors": ("TaskFailedForGood", "TaskSkipped"),
    "elastic.dag.group": ("TaskGroup",),
    "elastic.dag.instance": ("TaskInstance",),
    "elastic.dag.link": ("chain",),
    "elastic.dag.foreign_text": ("literal",),
    "elastic.dag.operator": ("BaseOperator",),
    "elastic.dag.trigger_rule": ("TriggerRule",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'elastic.dag' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
