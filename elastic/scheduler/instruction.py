"""Task instances as others need them: as rows, and as commands."""

import sys

from elastic.dag.instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.db.value import NewInstance
from elastic.executors.command import Command
from elastic.scheduler.order import Order


def new_instance(task: BaseOperator, map_index: int = -1) -> NewInstance:
    """Return the row of an instance that is to be there."""
    return NewInstance(
        task_id=task.task_id,
        map_index=map_index,
        max_tries=task.retries + 1,
        operator=task.operator_type,
        pool=task.pool,
        pool_slots=task.pool_slots,
        priority=task.priority_weight,
        queue=task.queue,
    )


def command_of(task: BaseOperator, order: Order) -> Command:
    """Return the command that makes an attempt which is queued."""
    instance = TaskInstance(task, facts=order.facts)
    place = ["--subdir", task.dag.fileloc, "--root", str(task.dag.root)] if task.has_dag else []
    copy = ["--map-index", str(instance.map_index)] if instance.map_index >= 0 else []
    words = [sys.executable, "-m", "elastic", "run", instance.dag_id, instance.task_id]
    date = instance.execution_date.isoformat()
    attempt = ["--attempt", order.facts.attempt_uuid]
    return Command(words=(*words, date, *place, *copy, *attempt), order=order, resources=task.resources)


def shown_command(task: BaseOperator, order: Order) -> str:
    """Return what a person would type to run the instance."""
    instance = TaskInstance(task, facts=order.facts)
    copy = f" --map-index {instance.map_index}" if instance.map_index >= 0 else ""
    return instance.command() + copy
