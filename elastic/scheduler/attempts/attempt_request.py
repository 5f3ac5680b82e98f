"""Attempt requests: the values that a process needs to run one attempt, and the rows and commands built from them."""

import shlex
import sys
from dataclasses import dataclass
from typing import Final

from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.execution.wait import WaitMode
from elastic.dag.operator import BaseOperator
from elastic.dag.timetable.interval import DataInterval, LogicalDate, zone_of
from elastic.db.records import DagRun, TaskInstanceRow
from elastic.executors.executor import TaskCommand
from elastic.scheduler.decisions.dag_spec import DagSpec
from elastic.scheduler.decisions.inputs import TaskSpec

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
    #: the least costly way of waiting that a sensor may use
    wait_mode: WaitMode = WaitMode.POKE
    #: True if the attempt has had a process before
    continues: bool = False
    #: file that defines the DAG, and folder of its helper modules, for a process that has not loaded it
    fileloc: str = ""
    root: str = ""
    #: sentence that the attempt writes to its log and keeps as its note
    remark: str = ""


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


def request_of(run: DagRun, queued: TaskInstanceRow) -> AttemptRequest:
    """Return the request of an attempt that another process queued."""
    info = attempt_info_of(
        run,
        queued.task_id,
        queued.map_index,
        try_number=queued.try_number,
        attempt_uuid=queued.attempt_uuid or "",
    )
    return AttemptRequest(
        info=info,
        max_tries=queued.max_tries,
        run_attempt=run.attempt,
        flow_run_id=queued.flow_run_id,
        wait_mode=WaitMode.DEFER,
        # An attempt that continues keeps the start of its first process.
        continues=queued.started_at is not None,
        lease_owner=queued.lease_owner or "",
    )


def new_instance(run: DagRun, task: BaseOperator | TaskSpec, map_index: int = -1) -> TaskInstanceRow:
    """Return the row of a task instance to insert."""
    spec = task if isinstance(task, TaskSpec) else TaskSpec.of(task)
    return TaskInstanceRow(
        dag_id=run.dag_id,
        run_id=run.run_id,
        task_id=spec.task_id,
        map_index=map_index,
        max_tries=spec.max_tries,
        operator=spec.operator_type,
        pool=spec.pool,
        pool_slots=spec.pool_slots,
        priority=spec.priority,
        queue=spec.queue,
    )


def command_of(dag: DagSpec, task: TaskSpec, request: AttemptRequest) -> TaskCommand:
    """Return the command that runs a queued attempt."""
    info = request.info
    location = ["--subdir", dag.fileloc, "--root", dag.root]
    copy = ["--map-index", str(info.map_index)] if info.map_index >= 0 else []
    words = [sys.executable, "-m", "elastic", "run", info.dag_id, info.task_id]
    date = _local_date(dag, request).isoformat()
    attempt = ["--attempt", info.attempt_uuid]
    return TaskCommand(words=(*words, date, *location, *copy, *attempt), request=request, resources=task.resources)


def shown_command(dag: DagSpec, request: AttemptRequest) -> str:
    """Return the command line that a user would type to run the instance."""
    info = request.info
    date = _local_date(dag, request).replace(tzinfo=None).isoformat()
    copy = f" --map-index {info.map_index}" if info.map_index >= 0 else ""
    return shlex.join(["elastic", "run", info.dag_id, info.task_id, date]) + copy


def _local_date(dag: DagSpec, request: AttemptRequest) -> LogicalDate:
    return LogicalDate.of(request.info.logical_date, zone_of(dag.timezone))
