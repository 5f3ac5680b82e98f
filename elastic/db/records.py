"""Records: rows of the metadata database as immutable values, and the functions that convert rows."""

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from elastic.dag.execution.wait import WaitRequest
from elastic.dag.ids import TaskKey
from elastic.dag.states.state import RunState, TaskState


class RunType(StrEnum):
    """Origin of a DAG run."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"


class RunMode(StrEnum):
    """Start mode of an execution of a DAG run."""

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
    #: True if the scheduler service runs it; a run of a command ends with the command
    is_served: bool = False
    #: True once a deadline of the run has passed
    is_late: bool = False
    #: None before the run is stored
    created_at: dt.datetime | None = None
    started_at: dt.datetime | None = None
    ended_at: dt.datetime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "conf", MappingProxyType(dict(self.conf)))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAttempt:
    """One execution of a DAG run."""

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
        """The key of the instance."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Attempt of a task instance: a row of task_attempt."""

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
    #: exit code of the process; negative for the signal that ended it
    exit_code: int | None
    error: str | None
    log_path: str | None
    flow_run_id: str | None
    #: True once the instance was cleared
    is_cleared: bool
    #: state whose callbacks are due, or `taken`; None if the process has not called them yet
    callback: str | None = None

    @property
    def key(self) -> TaskKey:
        """The key of the instance."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """Line of the log of a flow or of a step."""

    dag_id: str
    run_id: str
    run_attempt: int
    #: None for a line of the flow
    task_id: str | None = None
    map_index: int = -1
    attempt_uuid: str | None = None
    at: dt.datetime
    #: `step` or `step.action`
    logger: str
    level: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueRequest:
    """Request to queue a task instance under a new attempt."""

    key: TaskKey
    #: generated by the caller before a process starts
    attempt_uuid: str
    #: row version on which the decision is based; None for any version
    version: int | None = None
    #: process that renews the lease until another process claims the attempt
    lease_owner: str | None = None
    #: seconds; None for an attempt that waits for a worker, without a lease
    lease: float | None = 300.0
    #: True to continue the attempt of an instance that is up for reschedule
    continues: bool = False
    pool: str = "default"
    pool_slots: int = 1
    #: maximum number of queued and running instances of the DAG, this one included; 0 for no limit
    concurrency: int = 0
    job_id: int | None = None
    log_path: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Claim of a process that wants to run a queued attempt."""

    key: TaskKey
    attempt_uuid: str
    host: str
    pid: int
    #: process that renews the lease
    lease_owner: str
    #: seconds
    lease: float
    #: True if the attempt has had a process before
    continues: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptResult:
    """Result of an attempt."""

    attempt_uuid: str
    #: a final state, `up_for_retry`, or the state of an attempt that waits: `deferred` or `up_for_reschedule`
    state: TaskState
    #: present state of the instance; `queued` if no process could be started for the attempt
    expected: TaskState = TaskState.RUNNING
    #: a sentence or a traceback
    error: str | None = None
    exit_code: int | None = None
    #: seconds until the next try; only for `up_for_retry`
    retry_in: float | None = None
    #: state whose callbacks become due, because the process of the attempt ended before it called them
    callback: TaskState | None = None
    note: str | None = None
    flow_run_id: str | None = None
    #: JSON by key, stored in the transaction that records the result
    xcoms: Mapping[str, str] = field(default_factory=dict)
    #: tasks that the return value skips; the scheduler resolves them
    skipped_task_ids: tuple[str, ...] = ()
    #: log lines that are not stored yet; the scheduler stores them
    log_lines: tuple[LogLine, ...] = ()
    #: what the attempt waits for; None unless it waits
    wait: WaitRequest | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Event of the audit log."""

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
    #: client address of the user of the web server
    address: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Job: a process that runs task instances."""

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
    #: whether the last heartbeat is at most 2.1 heartbeat intervals old
    is_alive: bool
    #: of a worker: names of its queues, separated by commas, and the tasks that it runs at the same time
    queues: str | None = None
    parallelism: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Pool of slots that task instances share."""

    pool: str
    #: -1 for no limit
    slots: int
    description: str | None = None
    #: slots taken by queued and by running instances
    queued: int = 0
    running: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """Named value that DAGs read."""

    key: str
    value: str = field(repr=False)
    description: str | None = None


def run_of(row: Any) -> DagRun:
    """Return the record of a row of dag_run."""
    fields = dict(row._mapping)
    return DagRun(
        **{
            **fields,
            "run_type": RunType(row.run_type),
            "state": RunState(row.state),
            "conf": json.loads(row.conf),
            "is_served": bool(row.is_served),
            "is_late": bool(row.is_late),
        }
    )


def run_attempt_of(row: Any) -> RunAttempt:
    """Return the record of a row of dag_run_attempt."""
    return RunAttempt(**{**row._mapping, "mode": RunMode(row.mode), "state": RunState(row.state)})


def instance_of(row: Any) -> TaskInstanceRow:
    """Return the record of a row of task_instance."""
    state = row.state
    return TaskInstanceRow(**{**row._mapping, "state": None if state is None else TaskState(state)})


def attempt_of(row: Any) -> Attempt:
    """Return the record of a row of task_attempt."""
    return Attempt(**{**row._mapping, "state": TaskState(row.state)})


def event_of(row: Any) -> Event:
    """Return the record of a row of log."""
    return Event(**{name: value for name, value in row._mapping.items() if name != "id"})


def line_of(row: Any) -> LogLine:
    """Return the record of a row of log_line."""
    return LogLine(**{name: value for name, value in row._mapping.items() if name != "id"})
