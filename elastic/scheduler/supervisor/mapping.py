"""Expansion of mapped tasks: the number of instances, known once the upstream tasks have returned their lists."""

from typing import cast

from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator, MappedOperator
from elastic.db.records import DagRun
from elastic.scheduler.attempts.attempt_request import attempt_info_of
from elastic.scheduler.attempts.run_attempt import AttemptXCom
from elastic.scheduler.deployment import Deployment


def mapped_count(deployment: Deployment, task: BaseOperator, run: DagRun) -> int:
    """Return the number of instances of a mapped task in a run.

    Raises:
        MappingError: The value that the task maps over is not a list, or is too long.
        XComError: The value cannot be read.
    """
    mapped = cast("MappedOperator", task)
    key = TaskKey(run.dag_id, run.run_id, task.task_id)
    info = attempt_info_of(run, task.task_id)
    instance = TaskInstance(task, attempt=info, xcoms=AttemptXCom(deployment, key))
    with task.helpers.installed():
        return mapped.count(instance.xcom_pull)
