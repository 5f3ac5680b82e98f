"""Backfill of a stored DAG without loading its file: queues the missing runs of a range for masters of the service."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import islice

from elastic.core.errors import UsageError
from elastic.dag.states.state import TaskState
from elastic.dag.timetable.interval import DataInterval
from elastic.dag.timetable.schedule import NoSchedule
from elastic.db import queries, transitions
from elastic.db.database import Database
from elastic.db.records import DagRun, RunType
from elastic.db.stores.dags import DagRow
from elastic.db.transitions import Backfill
from elastic.scheduler.catalog.dag_catalog import Digests
from elastic.scheduler.commands.planning import check_logical_date, new_run
from elastic.scheduler.decisions.due import Timetable

#: Maximum number of dates of a backfill whose runs are queued at once, and of one that masters carry out.
MAX_DATES, _MAX_INTERVALS = 500, 100_000

_FAILED = (TaskState.FAILED, TaskState.UPSTREAM_FAILED)


class Existing(StrEnum):
    """What a backfill does with dates that have a run already."""

    KEEP = "keep"
    #: clear the failed task instances of finished runs
    FAILED = "failed"
    #: clear all task instances of finished runs
    ALL = "all"


@dataclass(frozen=True, slots=True)
class BackfillDate:
    """Date of a backfill."""

    interval: DataInterval
    #: run of the date; None if there is none yet
    run: DagRun | None


def backfill_dates(
    database: Database, dag_id: str, timetable: Timetable, start: dt.datetime, end: dt.datetime, *, now: dt.datetime
) -> list[BackfillDate]:
    """Return the dates of a range whose intervals have passed, with their runs.

    Args:
        database: The database.
        dag_id: The DAG.
        timetable: Its schedule, and its first and last date.
        start: First logical date.
        end: Last logical date, included.
        now: The time.

    Raises:
        UsageError: The range is invalid, has no date, or has too many.
    """
    intervals = _passed(dag_id, timetable, start, end, now)
    if len(intervals) > MAX_DATES:
        raise UsageError(f"the range has more than {MAX_DATES} dates; give a shorter one.")
    first, last = intervals[0].start, intervals[-1].start
    known = {run.logical_date: run for run in queries.runs(database, dag_id, start=first, end=last)}
    return [BackfillDate(interval, known.get(interval.start)) for interval in intervals]


def submit_stored(
    database: Database,
    dag_id: str,
    timetable: Timetable,
    dates: tuple[dt.datetime, dt.datetime],
    *,
    max_active_runs: int,
    now: dt.datetime,
) -> Backfill:
    """Store a backfill for masters to carry out; dates that have a run keep it.

    Args:
        database: The database.
        dag_id: The DAG.
        timetable: Its schedule, and its first and last date.
        dates: First and last logical date, both included.
        max_active_runs: Runs of its dates that are active at the same time.
        now: The time.

    Raises:
        UsageError: The range is invalid, or has no date.
    """
    intervals = _passed(dag_id, timetable, *dates, now)
    return transitions.submit_backfill(database, dag_id, intervals[0].start, intervals[-1].start, max_active_runs)


def start_backfill(
    database: Database, dag: DagRow, timetable: Timetable, dates: Sequence[BackfillDate], existing: Existing
) -> tuple[int, int]:
    """Queue a run for each date without one, and clear the finished runs of the others if wanted.

    Args:
        database: The database.
        dag: The DAG.
        timetable: Its schedule.
        dates: The dates, from `backfill_dates`.
        existing: What to do with dates that have a run.

    Returns:
        The number of new runs, and of runs with cleared task instances.
    """
    digests = Digests(dag.source_digest, dag.structure_digest or "")
    new = [
        replace(
            digests.set_in(new_run(dag.dag_id, timetable.schedule, one.interval, RunType.BACKFILL)),
            is_served=True,
        )
        for one in dates
        if one.run is None
    ]
    begun = (dates[0].interval.start, dates[-1].interval.start)
    made = transitions.start_backfill(database, dag.dag_id, new, f"{begun[0].isoformat()} to {begun[1].isoformat()}")
    return made, _clear(database, [one.run for one in dates if one.run is not None], existing)


def _clear(database: Database, runs: Sequence[DagRun], existing: Existing) -> int:
    finished = [run for run in runs if run.state.is_final]
    if existing is Existing.KEEP or not finished:
        return 0
    found = queries.instances(database, finished[0].dag_id, [run.run_id for run in finished])
    wanted = [one.key for one in found if existing is Existing.ALL or one.state in _FAILED]
    return len({one.run_id for one in transitions.clear(database, wanted)})


def _passed(
    dag_id: str, timetable: Timetable, start: dt.datetime, end: dt.datetime, now: dt.datetime
) -> list[DataInterval]:
    """Return the intervals of a range that have passed, at least one. Raises UsageError."""
    for one in (start, end):
        check_logical_date(one)
    if end < start:
        raise UsageError(f"the range ends ({end:%Y-%m-%d %H:%M}) before it starts ({start:%Y-%m-%d %H:%M}).")
    found = list(islice(_intervals(dag_id, timetable, start, end, now), _MAX_INTERVALS + 1))
    if not found:
        raise UsageError(
            f"DAG {dag_id!r} ({timetable.schedule}) has no interval in the range that has passed; give another range."
        )
    if len(found) > _MAX_INTERVALS:
        raise UsageError(f"the range has more than {_MAX_INTERVALS:,} dates; give a shorter one.")
    return found


def _intervals(
    dag_id: str, timetable: Timetable, start: dt.datetime, end: dt.datetime, now: dt.datetime
) -> Iterator[DataInterval]:
    if isinstance(timetable.schedule, NoSchedule):
        raise UsageError(f"DAG {dag_id!r} has no schedule, so it has no dates; trigger a run for one date instead.")
    first = max(start, timetable.start_date) if timetable.start_date else start
    last = min(end, timetable.end_date) if timetable.end_date else end
    if first > last:
        return
    for interval in timetable.schedule.intervals(first, last):
        if interval.end > now:
            return
        yield interval
