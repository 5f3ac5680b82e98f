"""Attempt requests: the values that a process needs to run one attempt, and the rows and commands built from them."""

import sys
from dataclasses import dataclass
from typing import Final

from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.dag.timetable.interval import DataInterval
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.executors.executor import TaskCommand

#: Returned by a worker process instead of an `AttemptResult` if it could not claim the attempt.
NOT_CLAIMED: Final = "not claimed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRequest:
    """Request to run one attempt of a task instance."""

    info: AttemptInfo
    #: tries before the instance fails for good
    max_tries: int
    #: number of the rerun of the DAG run
    run_attempt: int = 1
    #: data flow of an earlier try, which this try resumes
    flow_run_id: str | None = None
    #: True if the attempt is claimed for the process that receives it; otherwise that process must claim it first
    is_claimed: bool = True
    #: process that renews the lease
    lease_owner: str = ""


def attempt_info_of(
    run: DagRun, task_id: str, map_index: int = -1, *, try_number: int = 1, attempt_uuid: str = ""
) -> AttemptInfo:
    """Return the info of an attempt of a task in a run."""
    return AttemptInfo(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=task_id,
        map_index=map_index,
        try_number=try_number,
        attempt_uuid=attempt_uuid,
        logical_date=run.logical_date,
        data_interval=DataInterval(run.data_interval_start, run.data_interval_end),
        conf=dict(run.conf),
    )


def new_instance(run: DagRun, task: BaseOperator, map_index: int = -1) -> TaskInstanceRow:
    """Return the row of a task instance to insert."""
    return TaskInstanceRow(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=task.task_id,
        map_index=map_index,
        max_tries=task.retries + 1,
        operator=task.operator_type,
        pool=task.pool,
        pool_slots=task.pool_slots,
        priority=task.priority_weight,
        queue=task.queue,
    )


def command_of(task: BaseOperator, request: AttemptRequest) -> TaskCommand:
    """Return the command that runs a queued attempt."""
    instance = TaskInstance(task, attempt=request.info)
    location = ["--subdir", task.dag.fileloc, "--root", str(task.dag.root)] if task.has_dag else []
    copy = ["--map-index", str(instance.map_index)] if instance.map_index >= 0 else []
    words = [sys.executable, "-m", "elastic", "run", instance.dag_id, instance.task_id]
    date = instance.execution_date.isoformat()
    attempt = ["--attempt", request.info.attempt_uuid]
    return TaskCommand(words=(*words, date, *location, *copy, *attempt), request=request, resources=task.resources)


def shown_command(task: BaseOperator, request: AttemptRequest) -> str:
    """Return the command line that a user would type to run the instance."""
    instance = TaskInstance(task, attempt=request.info)
    copy = f" --map-index {instance.map_index}" if instance.map_index >= 0 else ""
    return instance.command() + copy
