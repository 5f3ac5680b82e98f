"""Mapped tasks in a run: how many copies they have, once the tasks say so that they are mapped over."""

from typing import cast

from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.ids import TaskKey
from elastic.dag.operator import BaseOperator, MappedOperator
from elastic.db.records import DagRun
from elastic.scheduler.attempts.attempt_request import facts_of
from elastic.scheduler.attempts.run_attempt import AttemptXCom
from elastic.scheduler.deployment import Deployment


def mapped_count(deployment: Deployment, task: BaseOperator, run: DagRun) -> int:
    """Return how many copies of a mapped task a run has.

    Raises:
        MappingError: What it is mapped over is no list, or too long.
        XComError: What it is mapped over cannot be read.
    """
    mapped = cast("MappedOperator", task)
    key = TaskKey(run.dag_id, run.run_id, task.task_id)
    instance = TaskInstance(task, attempt=facts_of(run, task.task_id), xcoms=AttemptXCom(deployment, key))
    with task.helpers.installed():
        return mapped.count(instance.xcom_pull)
