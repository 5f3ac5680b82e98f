"""DAGs: what users define tasks and their order with."""

from elastic.dag.action import Action
from elastic.dag.dag import DAG
from elastic.dag.errors import TaskFailedForGood, TaskSkipped
from elastic.dag.group import TaskGroup
from elastic.dag.link import chain
from elastic.dag.operator import BaseOperator
from elastic.dag.trigger_rule import TriggerRule

__all__ = [
    "DAG",
    "Action",
    "BaseOperator",
    "TaskFailedForGood",
    "TaskGroup",
    "TaskSkipped",
    "TriggerRule",
    "chain",
]
