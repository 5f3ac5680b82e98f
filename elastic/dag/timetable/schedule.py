"""Schedules: when the runs of a DAG start, and the data interval of each run.

A schedule is a sequence of slots. A run's data interval starts at a slot, its logical date, and ends at the next slot.
The run starts after the end of the interval.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from cronsim import CronSim, CronSimError

from elastic.dag.errors import ScheduleError
from elastic.dag.execution.coroutines import call_user_function
from elastic.dag.timetable.interval import DataInterval, instant_of, plain, plain_length, utc, zone_of

_DAY = timedelta(days=1)
_TICK = timedelta(microseconds=1)

#: Accepted forms of a schedule, for error messages.
_ACCEPTED = "a cron expression, a timedelta, a preset such as '@daily', or None"


class Schedule(ABC):
    """Sequence of slots. All arguments and results are aware datetimes; results are in UTC.

    Elastic calls a schedule through `next_slot`, `previous_slot` and `first_slot`, which check the results.
    """

    #: name of the time zone in which the schedule counts days
    timezone: str = "UTC"

    @abstractmethod
    def next(self, logical_date: datetime) -> datetime | None:
        """Return the first slot after an instant; None if there is none."""

    @abstractmethod
    def previous(self, logical_date: datetime) -> datetime | None:
        """Return the last slot before an instant; None if there is none."""

    @abstractmethod
    def first(self, start: datetime) -> datetime | None:
        """Return the first slot at or after an instant; None if there is none."""

    def next_slot(self, logical_date: datetime) -> datetime | None:
        """Return the checked result of `next`, in UTC.

        Raises:
            ScheduleError: The result is neither an aware datetime nor None.
        """
        return self._checked(call_user_function(self.next, logical_date), "next")

    def previous_slot(self, logical_date: datetime) -> datetime | None:
        """Return the checked result of `previous`, in UTC; raise ScheduleError as `next_slot` does."""
        return self._checked(call_user_function(self.previous, logical_date), "previous")

    def first_slot(self, start: datetime) -> datetime | None:
        """Return the checked result of `first`, in UTC; raise ScheduleError as `next_slot` does."""
        return self._checked(call_user_function(self.first, start), "first")

    def _checked(self, found: Any, method: str) -> datetime | None:
        if found is None:
            return None
        if not isinstance(found, datetime) or found.tzinfo is None:
            raise ScheduleError(
                f"{type(self).__name__}.{method}() must return a datetime with a time zone, or None, got {found!r}."
            )
        return utc(found)

    def anchored(self, slot: datetime) -> "Schedule":
        """Return this schedule, counted from a slot if it has no start of its own."""
        return self

    def interval_of(self, logical_date: datetime) -> DataInterval:
        """Return the data interval that starts at a logical date; it is empty if there is no later slot.

        The interval of a date between slots (of a manual run) also ends at the next slot.
        """
        start = utc(logical_date)
        return DataInterval(start, self.next_slot(start) or start)

    def is_slot(self, instant: datetime) -> bool:
        """Return whether a scheduled run can have this logical date."""
        instant = utc(instant)
        return self.first_slot(instant) == instant

    def next_interval(
        self, after: datetime | None, *, start: datetime | None, end: datetime | None = None
    ) -> DataInterval | None:
        """Return the data interval of the next run; None if there is none.

        Args:
            after: The logical date of the latest run; None if there was no run.
            start: The earliest logical date. If it is None, there is no next run without a previous one.
            end: The latest logical date; None for no limit.
        """
        slot = None
        if after is not None and (start is None or after >= start):
            slot = self.next_slot(after)
        elif start is not None:
            slot = self.first_slot(start)
        if slot is None or (end is not None and slot > end):
            return None
        return self.interval_of(slot)

    def intervals(self, start: datetime, end: datetime) -> Iterator[DataInterval]:
        """Yield the data intervals with logical dates from `start` to `end`, both included."""
        found = self.next_interval(None, start=start, end=end)
        while found is not None:
            yield found
            found = self.next_interval(found.start, start=start, end=end)


class CronSchedule(Schedule):
    """Schedule of a cron expression with five fields (six with leading seconds), in a time zone.

    As in Debian's cron, a slot in the gap in spring moves to the end of the gap, and a slot in the repeated hour in
    autumn occurs once.

    Raises:
        ScheduleError: The expression is invalid, or matches no date at all.
    """

    def __init__(self, text: str, timezone: str = "UTC") -> None:
        self.text, self.timezone, self._zone = text, timezone, zone_of(timezone)
        error = _cron_error(text)
        if error and not _has_no_such_day(text):
            raise ScheduleError(f"invalid cron expression {text!r}: {error}. Use one like '0 6 * * *'.")
        if error or self.next(datetime(2016, 1, 1, tzinfo=UTC)) is None:
            raise ScheduleError(f"cron expression {text!r} matches no date. Correct its day or its month.")

    def next(self, logical_date: datetime) -> datetime | None:
        return next(self._slots(logical_date), None)

    def previous(self, logical_date: datetime) -> datetime | None:
        # In reverse, CronSim may yield the start itself at the end of daylight saving time.
        slots = self._slots(logical_date, reverse=True)
        return next((slot for slot in slots if slot < logical_date), None)

    def first(self, start: datetime) -> datetime | None:
        return self.next(start - _TICK)

    def _slots(self, instant: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        local = plain(instant).astimezone(self._zone)
        if reverse and local.fold:
            # Slots are in the first of the two repeated hours, so those of that hour are before this instant too.
            local += self._overlap(local)
        for slot in CronSim(self.text, local, reverse=reverse):
            found = slot.astimezone(UTC)
            if reverse or found > instant:
                yield found

    @staticmethod
    def _overlap(local: datetime) -> timedelta:
        """Return the length of the repeated period, for an instant in its second pass."""
        first, second = local.replace(fold=0).utcoffset(), local.utcoffset()
        return first - second if first is not None and second is not None else timedelta(0)

    def __str__(self) -> str:
        return self.text


class PresetSchedule(CronSchedule):
    """Schedule with a name: `@hourly`, `@daily`, `@weekly` (Sundays), `@monthly` or `@yearly`."""

    CRON: ClassVar[Mapping[str, str]] = {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
    }

    def __init__(self, name: str, timezone: str = "UTC") -> None:
        if name not in self.CRON:
            raise ScheduleError(f"there is no preset {name!r}. Use one of {', '.join(['@once', *self.CRON])}.")
        self.name = name
        super().__init__(self.CRON[name], timezone)

    def __str__(self) -> str:
        return self.name


class IntervalSchedule(Schedule):
    """Schedule with a fixed interval, counted from the start of the DAG.

    Whole days are counted in local time, so that midnight stays midnight across daylight saving time. Other intervals
    are counted in elapsed time.

    Args:
        length: The interval, longer than zero.
        timezone: The time zone for whole days.
        anchor: One of the slots. Without it, each instant passed to a method counts as a slot.
    """

    def __init__(self, length: timedelta, timezone: str = "UTC", anchor: datetime | None = None) -> None:
        if length <= timedelta(0):
            raise ScheduleError(f"schedule interval must be longer than zero, got {length}. Use a positive timedelta.")
        self.length, self.timezone = plain_length(length), timezone
        self.anchor = None if anchor is None else instant_of(anchor, timezone, what="anchor")
        self._zone = zone_of(timezone if self.length % _DAY == timedelta(0) else "UTC")

    def next(self, logical_date: datetime) -> datetime | None:
        return next((slot for slot in self._near(logical_date) if slot > logical_date), None)

    def previous(self, logical_date: datetime) -> datetime | None:
        return max((slot for slot in self._near(logical_date) if slot < logical_date), default=None)

    def first(self, start: datetime) -> datetime | None:
        return next((slot for slot in self._near(start) if slot >= start), None)

    def anchored(self, slot: datetime) -> Schedule:
        return IntervalSchedule(self.length, self.timezone, slot) if self.anchor is None else self

    def _near(self, instant: datetime) -> Iterator[datetime]:
        """Yield the slots around an instant, in order: at least one before and one after it."""
        anchor = self._local(self.anchor or instant)
        number = (self._local(instant) - anchor) // self.length
        for step in range(-2, 4):
            try:
                local = anchor + (number + step) * self.length
                yield local.replace(tzinfo=self._zone).astimezone(UTC)
            except OverflowError:
                continue

    def _local(self, instant: datetime) -> datetime:
        return plain(instant).astimezone(self._zone).replace(tzinfo=None, fold=0)

    def __str__(self) -> str:
        return str(self.length)


class OnceSchedule(Schedule):
    """Schedule with one slot, at the start of the DAG. Its interval is empty, so the run starts immediately."""

    def __init__(self, timezone: str = "UTC", anchor: datetime | None = None) -> None:
        self.timezone = timezone
        self.anchor = None if anchor is None else instant_of(anchor, timezone, what="anchor")

    def next(self, logical_date: datetime) -> datetime | None:
        return None

    def previous(self, logical_date: datetime) -> datetime | None:
        return None

    def first(self, start: datetime) -> datetime | None:
        if self.anchor is None:
            return utc(start)
        return self.anchor if self.anchor >= start else None

    def __str__(self) -> str:
        return "@once"


class NoSchedule(Schedule):
    """Schedule without slots: the DAG has manual runs only."""

    def __init__(self, timezone: str = "UTC") -> None:
        self.timezone = timezone

    def next(self, logical_date: datetime) -> datetime | None:
        return None

    def previous(self, logical_date: datetime) -> datetime | None:
        return None

    def first(self, start: datetime) -> datetime | None:
        return None

    def __str__(self) -> str:
        return "None"


def _cron_error(text: str) -> str:
    """Return the error of an invalid cron expression; empty if it is valid."""
    try:
        CronSim(text, datetime(2016, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return str(error)
    return ""


def _has_no_such_day(text: str) -> bool:
    """Return whether only the combination of day and month is invalid, as in the 30th of February."""
    *clock, day, month, weekday = text.split() if len(text.split()) in (5, 6) else ["?"] * 5
    apart = ([*clock, day, "*", weekday], [*clock, "*", month, weekday])
    return not any(_cron_error(" ".join(fields)) for fields in apart)


def schedule_of(
    value: "str | timedelta | Schedule | None", timezone: str = "UTC", anchor: datetime | None = None
) -> Schedule:
    """Convert a value to a schedule.

    Args:
        value: A cron expression, a `timedelta`, a preset such as `@daily`, a schedule, or None.
        timezone: Name of the time zone of the schedule.
        anchor: The start of the DAG, from which intervals are counted.

    Raises:
        ScheduleError: The value is not a schedule.
    """
    if isinstance(value, Schedule):
        return value
    if value is None:
        return NoSchedule(timezone)
    if isinstance(value, timedelta):
        return IntervalSchedule(value, timezone, anchor)
    if value == "@once":
        return OnceSchedule(timezone, anchor)
    if isinstance(value, str):
        if not value.startswith("@"):
            return CronSchedule(value, timezone)
        own = _of_plugin(value, timezone) if value not in PresetSchedule.CRON else None
        return own or PresetSchedule(value, timezone)
    raise ScheduleError(f"invalid schedule {value!r}. Use {_ACCEPTED}.")


def _of_plugin(name: str, timezone: str) -> Schedule | None:
    """Return the schedule of a plug-in, or None if there is no plug-in of this name."""
    from elastic.plugins.plugin import find

    make = find("elastic.timetables", name)
    found = make(timezone) if make is not None else None
    if found is not None and not isinstance(found, Schedule):
        raise ScheduleError(f"the plug-in {name!r} (elastic.timetables) must return a Schedule, got {found!r}.")
    return found
