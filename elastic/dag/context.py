"""The context of an attempt: everything that the work may ask for, by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from elastic.dag.errors import LookupFailedError
from elastic.dag.execution.task_instance import AttemptInfo, TaskInstance
from elastic.dag.execution.xcom import InMemoryXCom, XComStore
from elastic.dag.templating.macros import macros_with
from elastic.dag.timetable.interval import DataInterval, LogicalDate
from elastic.dag.timetable.schedule import Schedule
from elastic.dag.timetable.timeperiod import timeperiod_of

if TYPE_CHECKING:
    from elastic.dag.operator import BaseOperator

#: Values by name. A plain dict: what user code adds to it is seen by what comes later in the same attempt.
Context = dict[str, Any]

_DAY = timedelta(days=1)


def _no_variable(name: str) -> Any:
    raise LookupFailedError(f"variable {name!r} cannot be looked up here: the attempt has no database.")


def _no_connection(conn_id: str) -> Any:
    raise LookupFailedError(f"connection {conn_id!r} cannot be looked up here: the attempt has no database.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextServices:
    """How an attempt reaches what lies outside it."""

    #: where values are passed from task to task
    xcoms: XComStore = field(default_factory=InMemoryXCom)
    #: returns a variable's text; raises LookupError if there is none
    variable: Callable[[str], str] = _no_variable
    #: returns a connection; raises LookupError if there is none
    connection: Callable[[str], Any] = _no_connection
    #: settings of the installation that actions and tasks may read (credentials are looked up, not kept here)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Variables:
    """Variables by name, `var["name"]`, looked up when they are asked for."""

    def __init__(self, variable: Callable[[str], str]) -> None:
        self._variable = variable

    def __getitem__(self, name: str) -> str:
        return self._variable(name)

    def get(self, name: str, default: Any = None) -> Any:
        """Return a variable, or `default` if there is none."""
        try:
            return self._variable(name)
        except LookupError:
            return default


class Connections:
    """Connections by id, `conn["id"]`, looked up when they are asked for."""

    def __init__(self, connection: Callable[[str], Any]) -> None:
        self._connection = connection

    def __getitem__(self, conn_id: str) -> Any:
        return self._connection(conn_id)


def build_context(task: "BaseOperator", instance: AttemptInfo, access: ContextServices | None = None) -> Context:
    """Return the context of an attempt.

    Args:
        task: The task as it is defined.
        instance: The facts of the attempt.
        access: How it reaches the rest; without one it has no database, and values are passed in memory.
    """
    access = access or ContextServices()
    ti = TaskInstance(task, facts=instance, xcoms=access.xcoms)
    return {
        **_times(task.schedule, task.zone, instance.logical_date, instance.data_interval),
        "dag": task.dag if task.has_dag else None,
        "task": task,
        "task_instance": ti,
        "ti": ti,
        "macros": macros_with(task.dag.user_defined_macros if task.has_dag else None),
        "params": params_of(task, instance.conf),
        "conf": dict(instance.conf),
        "var": Variables(access.variable),
        "conn": Connections(access.connection),
        "settings": access.settings,
        "run_id": instance.run_id,
        "try_number": instance.try_number,
        "attempt_uuid": instance.attempt_uuid,
        "map_index": instance.map_index,
    }


def params_of(task: "BaseOperator", conf: Mapping[str, Any]) -> Any:
    """Return the params of a task: those of the DAG, then its own, then what the run was asked with.

    Params that are a module or another object stand for themselves; nothing is laid over them.
    """
    of_dag = task.dag.params if task.has_dag else {}
    own = task.params if task.params is not None else {}
    for layer in (own, of_dag):
        if not isinstance(layer, Mapping):
            return layer
    return {**of_dag, **own, **conf}


@lru_cache(maxsize=64)
def _times(schedule: Schedule, zone: tzinfo, logical_date: datetime, interval: DataInterval) -> Mapping[str, Any]:
    """Return what follows from the logical date; a process asks for each of the tasks of a run."""
    logical = LogicalDate.of(logical_date, zone)
    before = _of(schedule.previous_slot(logical_date), zone)
    after = _of(schedule.next_slot(logical_date), zone)
    ds = _ds(logical)
    return {
        "execution_date": logical,
        "logical_date": logical,
        "ds": ds,
        "ds_nodash": ds.replace("-", ""),
        "ts": logical.isoformat(),
        "ts_nodash": f"{logical:%Y%m%dT%H%M%S}",
        "tomorrow_ds": _ds(logical, 1),
        "yesterday_ds": _ds(logical, -1),
        "prev_execution_date": before,
        "next_execution_date": after,
        "prev_ds": None if before is None else _ds(before),
        "next_ds": None if after is None else _ds(after),
        "data_interval_start": LogicalDate.of(interval.start, zone),
        "data_interval_end": LogicalDate.of(interval.end, zone),
        "timeperiod": timeperiod_of(logical_date, schedule),
    }


def _of(instant: datetime | None, zone: tzinfo) -> LogicalDate | None:
    return None if instant is None else LogicalDate.of(instant, zone)


def _ds(instant: datetime, days: int = 0) -> str:
    """Return the day of an instant on its own clock, some days later."""
    try:
        return (instant.date() + days * _DAY).isoformat()
    except OverflowError:
        return instant.date().isoformat()
