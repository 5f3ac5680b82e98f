"""Inputs of decisions about task instances: plain values, without a database or a clock."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from elastic.dag.ids import TaskKey
from elastic.dag.states.state import TaskState
from elastic.dag.states.trigger_rule import TriggerRule

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSpec:
    """Task as the input of decisions."""

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

    @classmethod
    def of(cls, task: "BaseOperator") -> "TaskSpec":
        """Return the spec of a task."""
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
        )


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
