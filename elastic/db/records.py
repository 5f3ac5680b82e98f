"""From rows to values.

What the metadata database holds, as values: rows as they stood when they were read.
"""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState


class RunType(StrEnum):
    """What made a DAG run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"


class RunMode(StrEnum):
    """How an attempt at a DAG run begins."""

    NOMINAL = "nominal"
    RECOVERY = "recovery"
    RUN_ONE = "run_one"
    RUN_FROM = "run_from"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDagRun:
    """A DAG run that is to be there."""

    dag_id: str
    run_id: str
    #: aware, and of no other run of the DAG
    logical_date: dt.datetime
    data_interval_start: dt.datetime
    data_interval_end: dt.datetime
    timeperiod: str | None = None
    run_type: RunType = RunType.MANUAL
    state: RunState = RunState.QUEUED
    #: what JSON knows
    conf: Mapping[str, Any] = field(default_factory=dict)
    mode: RunMode = RunMode.NOMINAL
    source_digest: str | None = None
    structure_digest: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DagRun:
    """A DAG run."""

    dag_id: str
    run_id: str
    logical_date: dt.datetime
    data_interval_start: dt.datetime
    data_interval_end: dt.datetime
    timeperiod: str | None
    run_type: RunType
    state: RunState
    conf: Mapping[str, Any]
    #: 1, and one more with every rerun
    attempt: int
    version: int
    source_digest: str | None
    structure_digest: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None

    def __post_init__(self) -> None:
        object.__setattr__(self, "conf", MappingProxyType(dict(self.conf)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAttempt:
    """One of the times that a DAG run was run."""

    dag_id: str
    run_id: str
    attempt: int
    mode: RunMode
    task_id: str | None
    owner: str | None
    state: RunState
    started_at: dt.datetime
    ended_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTaskInstance:
    """A task instance that is to be there in a run."""

    task_id: str
    map_index: int = -1
    #: how often it may be tried
    max_tries: int = 1
    operator: str | None = None
    pool: str = "default"
    pool_slots: int = 1
    priority: int = 1
    queue: str = "default"
    #: null or `removed`, for one that is not to be decided about
    state: TaskState | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInstanceRow:
    """A task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: TaskState | None
    try_number: int
    max_tries: int
    version: int
    attempt_uuid: str | None
    lease_owner: str | None
    lease_expires_at: dt.datetime | None
    queued_at: dt.datetime | None
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    #: seconds
    duration: float | None
    next_retry_at: dt.datetime | None
    operator: str | None
    pool: str
    pool_slots: int
    priority: int
    queue: str
    host: str | None
    pid: int | None
    job_id: int | None
    flow_run_id: str | None
    note: str | None

    @property
    def key(self) -> TaskKey:
        """What names it."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A try of a task instance."""

    attempt_uuid: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    run_attempt: int
    try_number: int
    state: TaskState
    queued_at: dt.datetime
    started_at: dt.datetime | None
    ended_at: dt.datetime | None
    #: seconds
    duration: float | None
    host: str | None
    pid: int | None
    job_id: int | None
    #: of the process; less than 0 for the signal that ended it
    exit_code: int | None
    error: str | None
    log_path: str | None
    flow_run_id: str | None
    #: true once its instance was cleared
    is_cleared: bool
    #: the state whose callbacks are due, or `taken`; None if its process has not come to them
    callback: str | None = None

    @property
    def key(self) -> TaskKey:
        """What names its instance."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRequest:
    """A task instance that is to be queued, under the attempt that is to count."""

    key: TaskKey
    #: made by whoever queues it, before anything is started
    attempt_uuid: str
    #: the version at which it was decided; None for any
    version: int | None = None
    #: who renews the lease until a process claims it
    lease_owner: str | None = None
    #: seconds
    lease: float = 300.0
    pool: str = "default"
    pool_slots: int = 1
    #: instances of the DAG that may be queued or running at the same time, this one included; 0 for any number
    concurrency: int = 0
    job_id: int | None = None
    log_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A process that wants to run a queued task instance."""

    key: TaskKey
    attempt_uuid: str
    host: str
    pid: int
    #: who renews the lease
    lease_owner: str
    #: seconds
    lease: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """How an attempt ended."""

    attempt_uuid: str
    #: a final state, or `up_for_retry`
    state: TaskState
    #: `queued` where no process could be started for it
    expected: TaskState = TaskState.RUNNING
    #: one sentence or a traceback
    error: str | None = None
    exit_code: int | None = None
    #: seconds until the next try; only for `up_for_retry`
    retry_in: float | None = None
    #: callbacks of this state are due from now on: the process of the attempt ended before it called them
    callback: TaskState | None = None
    note: str | None = None
    flow_run_id: str | None = None
    #: by key, each a JSON text; kept in the same transaction, and only if the ending counts
    xcoms: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A row of the log of what happened."""

    at: dt.datetime
    event: str
    dag_id: str | None
    run_id: str | None
    task_id: str | None
    map_index: int | None
    try_number: int | None
    attempt_uuid: str | None
    owner: str | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A process that runs task instances."""

    id: int
    kind: str
    state: str
    dag_id: str | None
    executor: str | None
    host: str
    pid: int
    owner: str | None
    started_at: dt.datetime
    heartbeat_at: dt.datetime
    ended_at: dt.datetime | None
    #: whether it gave a sign of life within 2.1 heartbeats
    is_alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Slots that task instances share."""

    pool: str
    #: -1 for any number
    slots: int
    description: str | None = None
    #: slots of queued and of running instances
    queued: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A value that DAGs read by name."""

    key: str
    value: str = field(repr=False)
    description: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the log of a flow or of a step."""

    dag_id: str
    run_id: str
    run_attempt: int
    #: None for a line of the flow
    task_id: str | None = None
    map_index: int = -1
    attempt_uuid: str | None = None
    at: dt.datetime
    #: the step, or `step.action`
    logger: str
    level: str
    message: str


def run_of(row: Any) -> DagRun:
    """Return the value of a row of dag_run."""
    fields = dict(row._mapping)
    return DagRun(
        **{
            **fields,
            "run_type": RunType(row.run_type),
            "state": RunState(row.state),
            "conf": json.loads(row.conf),
        }
    )


def run_attempt_of(row: Any) -> RunAttempt:
    """Return the value of a row of dag_run_attempt."""
    return RunAttempt(**{**row._mapping, "mode": RunMode(row.mode), "state": RunState(row.state)})


def instance_of(row: Any) -> TaskInstanceRow:
    """Return the value of a row of task_instance."""
    state = row.state
    return TaskInstanceRow(**{**row._mapping, "state": None if state is None else TaskState(state)})


def attempt_of(row: Any) -> Attempt:
    """Return the value of a row of task_attempt."""
    return Attempt(**{**row._mapping, "state": TaskState(row.state)})


def event_of(row: Any) -> Event:
    """Return the value of a row of log."""
    return Event(**{name: value for name, value in row._mapping.items() if name != "id"})


def line_of(row: Any) -> LogLine:
    """Return the value of a row of log_line."""
    return LogLine(**{name: value for name, value in row._mapping.items() if name != "id"})
