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
class DagRun:
    """Execution of a DAG for one logical date: a row of dag_run, or the values of a row to insert.

    The database sets `attempt`, `version` and the times; a run that is not stored has their defaults.
    """

    dag_id: str
    run_id: str
    #: aware; no two runs of a DAG share one
    logical_date: dt.datetime
    data_interval_start: dt.datetime
    data_interval_end: dt.datetime
    timeperiod: str | None = None
    run_type: RunType = RunType.MANUAL
    state: RunState = RunState.QUEUED
    #: JSON values
    conf: Mapping[str, Any] = field(default_factory=dict)
    #: 1 for the first execution; each rerun adds 1
    attempt: int = 1
    #: incremented by every change; 0 before the run is stored
    version: int = 0
    source_digest: str | None = None
    structure_digest: str | None = None
    #: None before the run is stored
    created_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None

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
class TaskInstanceRow:
    """Row of task_instance, or the values of a row to insert.

    A row to insert needs the ids, the limits and the pool; the database sets the rest.
    """

    dag_id: str
    run_id: str
    task_id: str
    #: -1 if the task is not mapped
    map_index: int = -1
    #: None before the first decision; REMOVED excludes the instance from decisions
    state: TaskState | None = None
    #: tries since the instance was created or cleared
    try_number: int = 0
    #: tries before the instance fails for good
    max_tries: int = 1
    #: incremented by every change; 0 before the row is stored
    version: int = 0
    #: the current attempt; updates by other attempts have no effect
    attempt_uuid: str | None = None
    lease_owner: str | None = None
    lease_expires_at: dt.datetime | None = None
    queued_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None
    #: seconds
    duration: float | None = None
    next_retry_at: dt.datetime | None = None
    operator: str | None = None
    pool: str = "default"
    pool_slots: int = 1
    priority: int = 1
    queue: str = "default"
    host: str | None = None
    pid: int | None = None
    job_id: int | None = None
    flow_run_id: str | None = None
    note: str | None = None

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
