"""Due runs: which scheduled runs of a DAG are due, and when the next one is. No I/O."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from elastic.dag.timetable.interval import DataInterval
from elastic.dag.timetable.schedule import Schedule

_TICK = timedelta(microseconds=1)

#: Dates that are left out are counted up to this number.
MAX_COUNTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Timetable:
    """Settings of a DAG that determine its logical dates."""

    schedule: Schedule
    #: first and last logical date; None for no limit
    start_date: datetime | None = None
    end_date: datetime | None = None
    #: False to run only the latest of several intervals that have passed
    catchup: bool = True

    def first_date(self, now: datetime) -> datetime | None:
        """Return the first logical date; without a start date, the first slot after the DAG was first seen."""
        return self.within(self.schedule.first_slot(self.start_date or now))

    def date_after(self, logical_date: datetime) -> datetime | None:
        """Return the logical date after another one; None if there is none."""
        if self.start_date is not None and logical_date < self.start_date:
            return self.within(self.schedule.first_slot(self.start_date))
        return self.within(self.schedule.next_slot(logical_date))

    def newest_passed(self, date: datetime, now: datetime) -> datetime:
        """Return the latest logical date from `date` on whose interval has passed; that of `date` has."""
        latest = min(now, self.end_date) if self.end_date else now
        # Without a start date, an interval is counted from the dates before it, and not from any instant.
        schedule = self.schedule.anchored(date)
        found = schedule.previous_slot(latest + _TICK)
        while found is not None and found > date and schedule.interval_of(found).end > now:
            found = schedule.previous_slot(found)
        return date if found is None else max(found, date)

    def within(self, slot: datetime | None) -> datetime | None:
        """Return a slot unless it is after the last logical date."""
        return None if slot is None or (self.end_date is not None and slot > self.end_date) else slot


@dataclass(frozen=True, slots=True, kw_only=True)
class DueRuns:
    """Intervals of the runs that are due now, and the position of the DAG after them."""

    intervals: tuple[DataInterval, ...] = ()
    #: logical date of the next run; None if there is none
    next_logical_date: datetime | None
    #: end of its interval; it is in the past if the limit left out runs that are due
    next_run_at: datetime | None
    #: dates that have no run because the DAG does not catch up; at most `MAX_COUNTED`
    left_out: int = 0


def due(timetable: Timetable, next_logical_date: datetime | None, now: datetime, *, limit: int = 20) -> DueRuns:
    """Return the runs of a DAG that are due.

    Args:
        timetable: Schedule and dates of the DAG.
        next_logical_date: Position of the DAG: the logical date of its next run.
        now: The time.
        limit: Maximum number of runs, so that one DAG with many intervals does not keep the others waiting.
    """
    date, found, left_out = next_logical_date, list[DataInterval](), 0
    while date is not None and len(found) < limit:
        interval = timetable.schedule.interval_of(date)
        if interval.end > now:
            break
        if not timetable.catchup:
            newest = timetable.newest_passed(date, now)
            left_out += _count_between(timetable, date, newest)
            interval = timetable.schedule.interval_of(newest)
        found.append(interval)
        date = timetable.date_after(interval.start)
    run_at = None if date is None else timetable.schedule.interval_of(date).end
    return DueRuns(intervals=tuple(found), next_logical_date=date, next_run_at=run_at, left_out=left_out)


def moved(
    timetable: Timetable, next_logical_date: datetime | None, last_logical_date: datetime | None, now: datetime
) -> DueRuns:
    """Return the position of a DAG whose schedule or dates changed. No date up to the last planned one comes again.

    Args:
        timetable: The present schedule and dates.
        next_logical_date: Position under the earlier schedule; None if it had no next run, or for a new DAG.
        last_logical_date: The latest date that was planned; None if there was none.
        now: The time.
    """
    if last_logical_date is not None:
        date = timetable.date_after(last_logical_date)
    elif next_logical_date is not None and timetable.start_date is None:
        date = timetable.within(timetable.schedule.first_slot(next_logical_date))
    else:
        date = timetable.first_date(now)
    run_at = None if date is None else timetable.schedule.interval_of(date).end
    return DueRuns(next_logical_date=date, next_run_at=run_at)


def _count_between(timetable: Timetable, first: datetime, stop: datetime) -> int:
    count, date = 0, first
    while date < stop and count < MAX_COUNTED:
        following = timetable.schedule.next_slot(date)
        if following is None:
            break
        date, count = following, count + 1
    return count
