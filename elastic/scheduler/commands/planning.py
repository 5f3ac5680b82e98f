"""Planning: turns a range of dates into runs, their task instances, and a run tracker."""

import datetime as dt
from collections.abc import Callable, Sequence
from itertools import pairwise

from elastic.core.errors import UsageError
from elastic.dag.dag import DAG
from elastic.dag.ids import TaskKey, run_id_of
from elastic.dag.operator import BaseOperator
from elastic.dag.states.state import TaskState
from elastic.dag.timetable.interval import DataInterval
from elastic.dag.timetable.schedule import NoSchedule, Schedule
from elastic.dag.timetable.timeperiod import timeperiod_of
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.scheduler.attempts.attempt_request import new_instance
from elastic.scheduler.decisions.inputs import Overrides, PreviousRun, TaskSpec
from elastic.scheduler.decisions.run_states import RunSpec
from elastic.scheduler.decisions.run_tracker import RunTracker
from elastic.scheduler.errors import LogicalDateError

#: Maximum number of runs of a range.
_MAX_RUNS = 100_000

#: Range of years of logical dates: outside it, time zones and intervals exceed the range of `datetime`.
_FIRST_YEAR, _END_YEAR = 1900, 9000


def intervals_of(
    dag: DAG, start: dt.datetime | None, end: dt.datetime | None, now: dt.datetime, say: Callable[[str], None]
) -> list[DataInterval]:
    """Return the data intervals that have passed and whose logical dates are in a range, both ends included.

    Args:
        dag: The DAG, which has the default range.
        start: First logical date; None for the first date of the DAG.
        end: Last logical date; None for `start`.
        now: The time.
        say: Receives the number of dates that are left out.

    Raises:
        UsageError: No interval of the range has passed, or the range is invalid.
    """
    first = start or dag.start_date
    if first is None:
        raise UsageError(f"DAG {dag.dag_id!r} has no start date; give one, as in `-s 2016-02-22`.")
    last = end or (first if start else dag.end_date or first)
    if last < first:
        raise UsageError(f"the range ends ({last:%Y-%m-%d %H:%M}) before it starts ({first:%Y-%m-%d %H:%M}).")
    found = _intervals(dag, first, last)
    passed = [one for one in found if one.end <= now]
    if not found:
        raise UsageError(
            f"DAG {dag.dag_id!r} ({dag.schedule}) has no logical date from {first:%Y-%m-%d %H:%M} "
            f"to {last:%Y-%m-%d %H:%M}; `elastic dags next` shows its dates."
        )
    if not passed:
        raise UsageError(
            f"no interval of the range has passed yet: the first one ends on {found[0].end:%Y-%m-%d %H:%M}."
        )
    if len(passed) < len(found):
        say(f"Left out: {len(found) - len(passed)} dates whose intervals have not passed.")
    return passed


def check_logical_date(date: dt.datetime) -> dt.datetime:
    """Return a logical date that every time zone and database can represent together with its data interval.

    Raises:
        LogicalDateError: The date is before or after the years in which runs can be.
    """
    if not _FIRST_YEAR <= date.year < _END_YEAR:
        raise LogicalDateError(
            f"invalid logical date {date.isoformat()}: expected a year from {_FIRST_YEAR} to {_END_YEAR - 1}; "
            "give another date."
        )
    return date


def new_run(dag_id: str, schedule: Schedule, interval: DataInterval, run_type: RunType) -> DagRun:
    """Return the run of a DAG for an interval, for `ensure_run` to store.

    Raises:
        LogicalDateError: The interval is outside of the years in which runs can be.
    """
    check_logical_date(interval.start)
    return DagRun(
        dag_id=dag_id,
        run_id=run_id_of(interval.start, run_type),
        logical_date=interval.start,
        data_interval_start=interval.start,
        data_interval_end=interval.end,
        timeperiod=timeperiod_of(interval.start, schedule),
        run_type=run_type,
    )


def build_tracker(
    database: Database, tasks: Sequence[BaseOperator | TaskSpec], runs: Sequence[DagRun], overrides: Overrides
) -> RunTracker:
    """Return the tracker of some tasks in runs, given in the order in which they start.

    The previous run of each run is the one before it by date. For the first of these runs the database has it.
    """
    task_specs = [task if isinstance(task, TaskSpec) else TaskSpec.of(task) for task in tasks]
    by_date = sorted(runs, key=lambda run: run.logical_date)
    before = {run.run_id: earlier.run_id for earlier, run in pairwise(by_date)}
    first = by_date[0] if by_date and any(one.depends_on_past for one in task_specs) else None
    previous_states = previous_states_of(database, first, task_specs) if first else None
    run_specs = [
        RunSpec(
            dag_id=run.dag_id,
            run_id=run.run_id,
            logical_date=run.logical_date,
            interval_end=run.data_interval_end,
            previous=before.get(run.run_id),
            previous_states=previous_states if run is first else None,
        )
        for run in runs
    ]
    return RunTracker(run_specs, task_specs, overrides)


def make_instances(
    database: Database, tasks: Sequence[BaseOperator | TaskSpec], runs: Sequence[DagRun], tracker: RunTracker
) -> None:
    """Insert the rows of all known instances; the supervisor inserts those of mapped tasks that it expands later."""
    by_id = {task.task_id: task for task in tasks}
    for run in runs:
        keys = [key for key in tracker.run_states[run.run_id].states if not _is_unexpanded(by_id[key.task_id], key)]
        transitions.ensure_instances(database, [new_instance(run, by_id[key.task_id], key.map_index) for key in keys])


def _is_unexpanded(task: BaseOperator | TaskSpec, key: TaskKey) -> bool:
    return task.is_mapped and key.map_index < 0


def _intervals(dag: DAG, first: dt.datetime, last: dt.datetime) -> list[DataInterval]:
    if isinstance(dag.schedule, NoSchedule):
        if first != last:
            raise UsageError(f"DAG {dag.dag_id!r} has no schedule; give the one date of its run as start and end.")
        return [DataInterval(first, first)]
    begin = max(first, dag.start_date) if dag.start_date else first
    end = min(last, dag.end_date) if dag.end_date else last
    found = []
    for interval in dag.schedule.intervals(begin, end) if begin <= end else ():
        found.append(interval)
        if len(found) > _MAX_RUNS:
            raise UsageError(f"the range has more than {_MAX_RUNS:,} dates; give a shorter one.")
    return found


def previous_states_of(database: Database, run: DagRun, tasks: Sequence[TaskSpec]) -> dict[str, PreviousRun] | None:
    """Return the states of the run before another one, by task; None if there is no such run."""
    before = queries.run_before(database, run.dag_id, run.logical_date)
    if before is None:
        return None
    states: dict[str, list[TaskState | None]] = {}
    for one in queries.instances(database, before.dag_id, [before.run_id]):
        states.setdefault(one.task_id, []).append(one.state)
    found = {}
    for task in tasks:
        if task.task_id not in states:
            continue
        after = {task_id: state for task_id in task.downstream for state in states.get(task_id, ())}
        found[task.task_id] = PreviousRun(
            logical_date=before.logical_date,
            states=tuple(states[task.task_id]),
            downstream=after,
        )
    return found
