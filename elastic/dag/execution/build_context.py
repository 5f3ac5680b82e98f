"""Builds the context of an attempt."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Any

from elastic.dag.context import Connections, Context, ContextServices, Variables
from elastic.dag.execution.attempt_info import AttemptInfo
from elastic.dag.execution.task_instance import TaskInstance
from elastic.dag.operator import BaseOperator
from elastic.dag.templating.macros import macros_with
from elastic.dag.timetable.interval import DataInterval, LogicalDate
from elastic.dag.timetable.schedule import Schedule
from elastic.dag.timetable.timeperiod import timeperiod_of

_DAY = timedelta(days=1)


def build_context(task: BaseOperator, attempt: AttemptInfo, services: ContextServices | None = None) -> Context:
    """Return the context of an attempt.

    Args:
        task: The task as defined.
        attempt: Ids, dates and conf of the attempt.
        services: Access to XComs, variables and connections. Without it, the attempt has no database, and XComs stay in
            memory.
    """
    services = services or ContextServices()
    ti = TaskInstance(task, attempt=attempt, xcoms=services.xcoms)
    return {
        **_date_values(task.schedule, task.zone, attempt.logical_date, attempt.data_interval),
        "dag": task.dag if task.has_dag else None,
        "task": task,
        "task_instance": ti,
        "ti": ti,
        "macros": macros_with(task.dag.user_defined_macros if task.has_dag else None),
        "params": merged_params(task, attempt.conf),
        "conf": dict(attempt.conf),
        "var": Variables(services.get_variable),
        "conn": Connections(services.get_connection),
        "settings": services.settings,
        "run_id": attempt.run_id,
        "try_number": attempt.try_number,
        "attempt_uuid": attempt.attempt_uuid,
        "map_index": attempt.map_index,
    }


def merged_params(task: BaseOperator, conf: Mapping[str, Any]) -> Any:
    """Return the params of a task: those of the DAG, overridden by its own, overridden by the conf of the run.

    Params that are a module or another object are returned unchanged; nothing overrides them.
    """
    of_dag = task.dag.params if task.has_dag else {}
    own = task.params if task.params is not None else {}
    for layer in (own, of_dag):
        if not isinstance(layer, Mapping):
            return layer
    return {**of_dag, **own, **conf}


@lru_cache(maxsize=64)
def _date_values(schedule: Schedule, zone: tzinfo, logical_date: datetime, interval: DataInterval) -> Mapping[str, Any]:
    """Return the values derived from the logical date. Cached, because all tasks of a run need the same ones."""
    logical = LogicalDate.of(logical_date, zone)
    previous = _logical(schedule.previous_slot(logical_date), zone)
    following = _logical(schedule.next_slot(logical_date), zone)
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
        "prev_execution_date": previous,
        "next_execution_date": following,
        "prev_ds": None if previous is None else _ds(previous),
        "next_ds": None if following is None else _ds(following),
        "data_interval_start": LogicalDate.of(interval.start, zone),
        "data_interval_end": LogicalDate.of(interval.end, zone),
        "timeperiod": timeperiod_of(logical_date, schedule),
    }


def _logical(instant: datetime | None, zone: tzinfo) -> LogicalDate | None:
    return None if instant is None else LogicalDate.of(instant, zone)


def _ds(instant: datetime, days: int = 0) -> str:
    """Return the local date of an instant, shifted by `days`."""
    try:
        return (instant.date() + days * _DAY).isoformat()
    except OverflowError:
        return instant.date().isoformat()
