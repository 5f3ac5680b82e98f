"""What is known when it is decided about task instances: plain values, without a database or a clock."""

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
    """A task as decisions see it."""

    task_id: str
    upstream: tuple[str, ...] = ()
    downstream: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    depends_on_past: bool = False
    wait_for_downstream: bool = False
    pool: str = "default"
    pool_slots: int = 1
    priority: int = 1
    #: the first and the last logical date
    start_date: datetime | None = None
    end_date: datetime | None = None
    #: how many copies it has: None where the output of a task before it says so, and for a task that is not mapped
    copies: int | None = None
    is_mapped: bool = False

    @classmethod
    def of(cls, task: "BaseOperator") -> "TaskSpec":
        """Return the facts of a task."""
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
    """How the run before stands, for a task that depends on it."""

    #: the logical date of the run before
    logical_date: datetime
    #: states of the same task there, one for each instance; empty where it has none
    states: tuple[TaskState | None, ...] = ()
    #: states of the tasks directly after it there, by name
    downstream: Mapping[str, TaskState | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overrides:
    """What somebody said need not be so."""

    #: wait neither for tasks before nor for dates before
    ignore_dependencies: bool = False
    #: run again what succeeded
    force: bool = False
    #: the interval need not have passed
    ignore_interval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionInput:
    """May this task instance run now?"""

    key: TaskKey
    task: TaskSpec
    state: TaskState | None
    logical_date: datetime
    #: when the interval of the run ends
    interval_end: datetime
    now: datetime
    #: the state of each instance directly before it, by name
    upstream: Mapping[str, TaskState | None] = field(default_factory=dict)
    #: None where there is no run before
    past: PreviousRun | None = None
    next_retry_at: datetime | None = None
    allowances: Overrides = Overrides()


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeSlots:
    """How much more may run at the same time; None for any number."""

    #: instances that the executor still takes
    executor: int | None = None
    #: of the DAG
    concurrency: int | None = None
    #: free slots by pool; a pool that is not named has any number
    pools: Mapping[str, int] = field(default_factory=dict)
    #: all slots by pool, -1 for any number; None where nothing is known of pools
    sizes: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class RunnableTask:
    """A task instance that nothing but room stands against."""

    key: TaskKey
    task: TaskSpec
    logical_date: datetime
    #: where the task comes in the order of the DAG
    position: int = 0
