"""Schedules: when the runs of a DAG start and which interval each is about.

A schedule is a row of slots. The interval of a slot goes to the next slot; its logical date is its start, and its run
starts when the interval has passed.
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

#: What a value may be that stands for a schedule.
type_names = "a cron text, a timedelta, a preset such as '@daily', or None"


class Schedule(ABC):
    """Slots of time. All instants that a schedule takes and gives are aware; those that it gives are in UTC."""

    #: the time zone in which the schedule counts days
    timezone: str = "UTC"

    @abstractmethod
    def next(self, logical_date: datetime) -> datetime | None:
        """Return the first slot after an instant, or None."""

    @abstractmethod
    def previous(self, logical_date: datetime) -> datetime | None:
        """Return the last slot before an instant, or None."""

    @abstractmethod
    def first(self, start: datetime) -> datetime | None:
        """Return the first slot at or after an instant, or None."""

    def next_slot(self, logical_date: datetime) -> datetime | None:
        """Return what `next` says, checked and in UTC.

        Raises:
            ScheduleError: It is neither an aware instant nor None.
        """
        return self._checked(call_user_function(self.next, logical_date), "next")

    def previous_slot(self, logical_date: datetime) -> datetime | None:
        """Return what `previous` says, checked and in UTC; raise ScheduleError if it is no slot."""
        return self._checked(call_user_function(self.previous, logical_date), "previous")

    def first_slot(self, start: datetime) -> datetime | None:
        """Return what `first` says, checked and in UTC; raise ScheduleError if it is no slot."""
        return self._checked(call_user_function(self.first, start), "first")

    def _checked(self, found: Any, method: str) -> datetime | None:
        if found is None:
            return None
        if not isinstance(found, datetime) or found.tzinfo is None:
            raise ScheduleError(
                f"{type(self).__name__}.{method}() returned {found!r}; expected a datetime with a time zone, or None."
            )
        return utc(found)

    def interval_of(self, logical_date: datetime) -> DataInterval:
        """Return the interval that starts at a logical date; empty where no slot comes after it.

        A date that is no slot (a run that somebody asked for) has the interval from there to the next slot.
        """
        start = utc(logical_date)
        return DataInterval(start, self.next_slot(start) or start)

    def is_slot(self, instant: datetime) -> bool:
        """Say whether a scheduled run can have this logical date."""
        instant = utc(instant)
        return self.first_slot(instant) == instant

    def next_interval(
        self, after: datetime | None, *, start: datetime | None, end: datetime | None = None
    ) -> DataInterval | None:
        """Return the interval of the run that comes next, or None if there is none.

        Args:
            after: The logical date of the latest run; None if there was no run.
            start: No logical date is before it; None means that only a run before says where to go on.
            end: No logical date is after it.
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
        """Yield the intervals whose logical dates lie from `start` to `end`, both included."""
        found = self.next_interval(None, start=start, end=end)
        while found is not None:
            yield found
            found = self.next_interval(found.start, start=start, end=end)


class CronSchedule(Schedule):
    """Slots by a cron text of five fields (six with seconds first) on the clock of a time zone.

    As with Debian's cron, a slot that spring leaves out comes at the end of the gap, and one that autumn repeats
    comes once.

    Raises:
        ScheduleError: The text is not a cron text, or names no instant at all.
    """

    def __init__(self, text: str, timezone: str = "UTC") -> None:
        self.text, self.timezone, self._zone = text, timezone, zone_of(timezone)
        error = _cron_error(text)
        if error and not _has_no_such_day(text):
            raise ScheduleError(f"{text!r} is not a cron text ({error}); write one like '0 6 * * *'.")
        if error or self.next(datetime(2016, 1, 1, tzinfo=UTC)) is None:
            raise ScheduleError(f"the cron text {text!r} names a date that never comes; correct its day or its month.")

    def next(self, logical_date: datetime) -> datetime | None:
        return next(self._slots(logical_date), None)

    def previous(self, logical_date: datetime) -> datetime | None:
        # Reversed, a slot may be given that is the start itself where a clock was put back.
        slots = self._slots(logical_date, reverse=True)
        return next((slot for slot in slots if slot < logical_date), None)

    def first(self, start: datetime) -> datetime | None:
        return self.next(start - _TICK)

    def _slots(self, instant: datetime, *, reverse: bool = False) -> Iterator[datetime]:
        local = plain(instant).astimezone(self._zone)
        if reverse and local.fold:
            # Slots are told by the first of two equal hours, so those of that hour are behind this moment too.
            local += self._overlap(local)
        for slot in CronSim(self.text, local, reverse=reverse):
            found = slot.astimezone(UTC)
            if reverse or found > instant:
                yield found

    @staticmethod
    def _overlap(local: datetime) -> timedelta:
        """Return how far clocks were put back, for a moment in the second of two equal hours."""
        first, second = local.replace(fold=0).utcoffset(), local.utcoffset()
        return first - second if first is not None and second is not None else timedelta(0)

    def __str__(self) -> str:
        return self.text


class PresetSchedule(CronSchedule):
    """A schedule by name: `@hourly`, `@daily`, `@weekly` (Sundays), `@monthly`, `@yearly`, or `@once`."""

    CRON: ClassVar[Mapping[str, str]] = {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
    }

    def __init__(self, name: str, timezone: str = "UTC") -> None:
        if name not in self.CRON:
            raise ScheduleError(f"there is no preset {name!r}; use one of {', '.join(['@once', *self.CRON])}.")
        self.name = name
        super().__init__(self.CRON[name], timezone)

    def __str__(self) -> str:
        return self.name


class IntervalSchedule(Schedule):
    """Slots at a fixed distance, counted from the start of the DAG.

    Whole days are counted on the clock of the time zone, so that midnight stays midnight when the clocks change;
    shorter distances are counted in elapsed time.

    Args:
        length: The distance, more than nothing.
        timezone: The clock for whole days.
        anchor: A slot. Without one, any instant that is asked about is a slot.
    """

    def __init__(self, length: timedelta, timezone: str = "UTC", anchor: datetime | None = None) -> None:
        if length <= timedelta(0):
            raise ScheduleError(f"a schedule cannot advance by {length}; give a timedelta of more than nothing.")
        self.length, self.timezone = plain_length(length), timezone
        self.anchor = None if anchor is None else instant_of(anchor, timezone, what="anchor")
        self._zone = zone_of(timezone if self.length % _DAY == timedelta(0) else "UTC")

    def next(self, logical_date: datetime) -> datetime | None:
        return next((slot for slot in self._near(logical_date) if slot > logical_date), None)

    def previous(self, logical_date: datetime) -> datetime | None:
        return max((slot for slot in self._near(logical_date) if slot < logical_date), default=None)

    def first(self, start: datetime) -> datetime | None:
        return next((slot for slot in self._near(start) if slot >= start), None)

    def _near(self, instant: datetime) -> Iterator[datetime]:
        """Yield the slots around an instant, in order: at least one before it and one after it."""
        anchor = self._clock(self.anchor or instant)
        number = (self._clock(instant) - anchor) // self.length
        for step in range(-2, 4):
            try:
                clock = anchor + (number + step) * self.length
                yield clock.replace(tzinfo=self._zone).astimezone(UTC)
            except OverflowError:
                continue

    def _clock(self, instant: datetime) -> datetime:
        return plain(instant).astimezone(self._zone).replace(tzinfo=None, fold=0)

    def __str__(self) -> str:
        return str(self.length)


class OnceSchedule(Schedule):
    """One slot, at the start of the DAG; its interval is empty, so the run starts at once."""

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
    """No slots: the DAG runs when somebody asks for it."""

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
    """Return why a text is not a cron text; empty if it is one."""
    try:
        CronSim(text, datetime(2016, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        return str(error)
    return ""


def _has_no_such_day(text: str) -> bool:
    """Return whether day and month of a wrong cron text are right, each for itself: the 30th of February."""
    *clock, day, month, weekday = text.split() if len(text.split()) in (5, 6) else ["?"] * 5
    apart = ([*clock, day, "*", weekday], [*clock, "*", month, weekday])
    return not any(_cron_error(" ".join(fields)) for fields in apart)


def schedule_of(
    value: "str | timedelta | Schedule | None", timezone: str = "UTC", anchor: datetime | None = None
) -> Schedule:
    """Return the schedule that a value stands for.

    Args:
        value: A cron text, a `timedelta`, a preset such as `@daily`, a schedule, or None.
        timezone: The clock of the schedule.
        anchor: The start of the DAG, from which distances are counted.

    Raises:
        ScheduleError: The value stands for none.
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
        return PresetSchedule(value, timezone) if value.startswith("@") else CronSchedule(value, timezone)
    raise ScheduleError(f"{value!r} is not a schedule; give {type_names}.")
