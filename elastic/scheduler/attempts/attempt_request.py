"""The facts of an attempt, from the run that it belongs to.

Task instances as others need them: as rows, and as commands.

What a process is told about an attempt, and what it tells when the attempt has ended.
"""

import sys
from dataclasses import dataclass

from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.dag.timetable.interval import DataInterval
from elastic.db.records import AttemptResult, DagRun, LogLine, TaskInstanceRow
from elastic.executors.executor import TaskCommand


def facts_of(
    run: DagRun, task_id: str, map_index: int = -1, *, try_number: int = 1, attempt_uuid: str = ""
) -> AttemptInfo:
    """Return the facts of an attempt of a task in a run."""
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptRequest:
    """An attempt that is to be made."""

    facts: AttemptInfo
    #: how often the instance may be tried
    max_tries: int
    #: which rerun of the run it belongs to
    run_attempt: int = 1
    #: the flow that an earlier try ran, which this one resumes
    flow_run_id: str | None = None
    #: it was claimed for the process that gets it; otherwise that one has to claim it before it does anything else
    is_claimed: bool = True
    #: who renews the lease
    lease_owner: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptReport:
    """How an attempt ended."""

    #: None for one that did not begin, because it does not count any more
    ending: AttemptResult | None
    #: tasks that are skipped because of what it returned
    skipped: tuple[str, ...] = ()
    #: lines of its log that are not in the database yet
    lines: tuple[LogLine, ...] = ()


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


def command_of(task: BaseOperator, order: AttemptRequest) -> TaskCommand:
    """Return the command that makes an attempt which is queued."""
    instance = TaskInstance(task, attempt=order.facts)
    place = ["--subdir", task.dag.fileloc, "--root", str(task.dag.root)] if task.has_dag else []
    copy = ["--map-index", str(instance.map_index)] if instance.map_index >= 0 else []
    words = [sys.executable, "-m", "elastic", "run", instance.dag_id, instance.task_id]
    date = instance.execution_date.isoformat()
    attempt = ["--attempt", order.facts.attempt_uuid]
    return TaskCommand(words=(*words, date, *place, *copy, *attempt), order=order, resources=task.resources)


def shown_command(task: BaseOperator, order: AttemptRequest) -> str:
    """Return what a person would type to run the instance."""
    instance = TaskInstance(task, attempt=order.facts)
    copy = f" --map-index {instance.map_index}" if instance.map_index >= 0 else ""
    return instance.command() + copy
