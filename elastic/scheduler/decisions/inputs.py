"""Inputs of decisions about task instances: plain values, without a database or a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import prod
from typing import TYPE_CHECKING, Any

from elastic.dag.expansion import MappedOver
from elastic.dag.ids import TaskKey
from elastic.dag.serialized_dag import SerializedTask
from elastic.dag.states.state import TaskState
from elastic.dag.states.trigger_rule import TriggerRule
from elastic.dag.timetable.interval import instant_of

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """Task as the scheduler sees it: plain values from its operator, or from its stored structure."""

    task_id: str
    upstream: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    depends_on_past: bool = False
    wait_for_downstream: bool = False
    pool: str = "default"
    pool_slots: int = 1
    priority: int = 1
    #: first and last logical date
    start_date: datetime | None = None
    end_date: datetime | None = None
    #: number of mapped instances; None if an upstream result determines it, or if the task is not mapped
    copies: int | None = None
    is_mapped: bool = False
    #: what the instances of a mapped task are counted from; None if the task is not mapped
    mapped_over: MappedOver | None = None
    operator_type: str = ""
    queue: str = "default"
    #: tries before an instance fails for good
    max_tries: int = 1
    retry_delay: timedelta = timedelta()
    retry_exponential_backoff: bool = False
    max_retry_delay: timedelta | None = None
    retry_jitter: float = 0.0
    execution_timeout: timedelta | None = None
    #: resources for the executor
    resources: Mapping[str, Any] = field(default_factory=dict, hash=False)
    #: states for which the task has callbacks
    callback_states: frozenset[str] = frozenset()

    @classmethod
    def of(cls, task: "BaseOperator") -> "TaskSpec":
        """Return the spec of a task."""
        callbacks = {
            TaskState.SUCCESS: task.on_success_callback,
            TaskState.FAILED: task.on_failure_callback,
            TaskState.UP_FOR_RETRY: task.on_retry_callback,
        }
        return cls(
            task_id=task.task_id,
            upstream=tuple(task.upstream),
            downstream=tuple(task.downstream),
            trigger_rule=task.trigger_rule,
            depends_on_past=task.depends_on_past or task.wait_for_downstream,
            wait_for_downstream=task.wait_for_downstream,
            pool=task.pool,
            pool_slots=task.pool_slots,
            priority=task.priority_weight,
            start_date=task.start_date,
            end_date=task.end_date,
            copies=getattr(task, "known_count", None),
            is_mapped=task.is_mapped,
            mapped_over=getattr(task, "mapped_over", None),
            operator_type=task.operator_type,
            queue=task.queue,
            max_tries=task.retries + 1,
            retry_delay=task.retry_delay,
            retry_exponential_backoff=task.retry_exponential_backoff,
            max_retry_delay=task.max_retry_delay,
            retry_jitter=task.retry_jitter,
            execution_timeout=task.execution_timeout,
            resources=task.resources,
            callback_states=frozenset(state for state, found in callbacks.items() if found),
        )

    @classmethod
    def of_stored(cls, task: SerializedTask) -> "TaskSpec":
        """Return the spec of a task of a stored DAG."""
        fields = task.fields
        mapped = task.mapped_over
        known = mapped is not None and all(isinstance(one, int) for one in mapped.factors)
        return cls(
            task_id=task.task_id,
            upstream=task.upstream,
            downstream=task.downstream,
            trigger_rule=TriggerRule(fields["trigger_rule"]),
            depends_on_past=fields["depends_on_past"] or fields["wait_for_downstream"],
            wait_for_downstream=fields["wait_for_downstream"],
            pool=fields["pool"],
            pool_slots=fields["pool_slots"],
            priority=fields["priority_weight"],
            start_date=_instant(fields["start_date"]),
            end_date=_instant(fields["end_date"]),
            copies=prod(one for one in mapped.factors if isinstance(one, int)) if mapped and known else None,
            is_mapped=fields["is_mapped"],
            mapped_over=mapped,
            operator_type=fields["operator_type"],
            queue=fields["queue"],
            max_tries=fields["retries"] + 1,
            retry_delay=timedelta(seconds=fields["retry_delay"]),
            retry_exponential_backoff=fields["retry_exponential_backoff"],
            max_retry_delay=_duration(fields["max_retry_delay"]),
            retry_jitter=fields["retry_jitter"],
            execution_timeout=_duration(fields["execution_timeout"]),
            resources=fields["resources"],
            callback_states=frozenset(fields["callbacks"]),
        )


def _instant(text: str | None) -> datetime | None:
    return None if text is None else instant_of(text)


def _duration(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviousRun:
    """States of the previous run, for a task that depends on them."""

    #: logical date of the previous run
    logical_date: datetime
    #: states of the same task, one for each instance; empty if it has none
    states: tuple[TaskState | None, ...] = ()
    #: states of its downstream tasks, by name
    downstream: Mapping[str, TaskState | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """Checks that the user chose to skip (`--force`, `--ignore-dependencies`)."""

    #: wait neither for upstream tasks nor for earlier dates
    ignore_dependencies: bool = False
    #: run finished instances again
    force: bool = False
    #: run before the end of the data interval
    ignore_interval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInput:
    """Input of the decision whether a task instance may run now."""

    key: TaskKey
    task: TaskSpec
    state: TaskState | None
    logical_date: datetime
    #: end of the data interval of the run
    interval_end: datetime
    now: datetime
    #: states of the upstream instances, by name
    upstream: Mapping[str, TaskState | None] = field(default_factory=dict)
    #: None if the run is the first
    previous_run: PreviousRun | None = None
    next_retry_at: datetime | None = None
    overrides: Overrides = Overrides()


@dataclass(frozen=True, slots=True)
class RunnableTask:
    """Task instance that runs as soon as slots are free."""

    key: TaskKey
    task: TaskSpec
    logical_date: datetime
    #: position of the task in the order of the DAG
    position: int = 0
    #: True to continue the attempt of the instance in another process
    continues: bool = False
