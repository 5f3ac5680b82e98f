"""Expansion of mapped tasks: the number of instances, known once the upstream tasks have returned their lists."""

from typing import Any

from elastic.dag.errors import MappingError
from elastic.dag.execution.xcom import decode_xcom
from elastic.db import queries
from elastic.db.records import DagRun
from elastic.scheduler.decisions.inputs import TaskSpec
from elastic.scheduler.deployment import Deployment


def mapped_count(deployment: Deployment, task: TaskSpec, run: DagRun) -> int:
    """Return the number of instances of a mapped task in a run.

    Raises:
        MappingError: The value that the task maps over is not a list, or is too long.
        XComError: The value cannot be read.
    """
    title = f"<Task({task.operator_type}): {task.task_id}>"
    if task.mapped_over is None:
        raise MappingError(f"{title} is not mapped.")

    def pull(task_id: str, key: str) -> Any:
        rows = queries.xcoms(deployment.database, run.dag_id, run.run_id, [task_id], key)
        values = {index: decode_xcom(text, task_id=task_id, key=key) for _, index, text in rows}
        # The output of a mapped task is the list of the outputs of its copies.
        return values.get(-1) if -1 in values or not values else [values[index] for index in sorted(values)]

    return task.mapped_over.count(title, pull)
