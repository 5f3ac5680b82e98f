"""DAGs: tasks, their dependencies and schedules."""

from typing import TYPE_CHECKING

from elastic._lazy import attach

if TYPE_CHECKING:
    from elastic.dag.dag import DAG
    from elastic.dag.deadline import Deadline
    from elastic.dag.dependencies import chain
    from elastic.dag.errors import TaskFailedPermanently, TaskSkipped
    from elastic.dag.execution.action import Action
    from elastic.dag.execution.task_instance import TaskInstance
    from elastic.dag.files.dag_bag import DagBag
    from elastic.dag.operator import BaseOperator
    from elastic.dag.states.trigger_rule import TriggerRule
    from elastic.dag.task_group import TaskGroup
    from elastic.dag.templating.literals import literal

__all__ = [
    "DAG",
    "Action",
    "BaseOperator",
    "DagBag",
    "Deadline",
    "TaskFailedPermanently",
    "TaskGroup",
    "TaskInstance",
    "TaskSkipped",
    "TriggerRule",
    "chain",
    "literal",
]

#: Names by module. A module is imported on first use, because states and keys are also needed alone.
_HOMES = {
    "elastic.dag.execution.action": ("Action",),
    "elastic.dag.files.dag_bag": ("DagBag",),
    "elastic.dag.dag": ("DAG",),
    "elastic.dag.deadline": ("Deadline",),
    "elastic.dag.errors": ("TaskFailedPermanently", "TaskSkipped"),
    "elastic.dag.task_group": ("TaskGroup",),
    "elastic.dag.execution.task_instance": ("TaskInstance",),
    "elastic.dag.dependencies": ("chain",),
    "elastic.dag.templating.literals": ("literal",),
    "elastic.dag.operator": ("BaseOperator",),
    "elastic.dag.states.trigger_rule": ("TriggerRule",),
}

__getattr__, __dir__ = attach(__name__, _HOMES)
