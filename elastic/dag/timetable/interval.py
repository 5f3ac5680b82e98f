"""Instants, logical dates and the interval of data that a run is about."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from elastic.dag.errors import ScheduleError


class LogicalDate(datetime):
    """The start of a run's interval, an aware instant in the time zone of its DAG.

    It prints without its offset where that is zero, as `2014-09-01 00:00:00`.
    """

    @classmethod
    def of(cls, instant: datetime, zone: tzinfo = UTC) -> Self:
        """Return an aware instant as a logical date of a time zone."""
        local = utc(instant).astimezone(zone)
        return cls.combine(local.date(), local.timetz()).replace(fold=local.fold)

    def __str__(self) -> str:
        if self.utcoffset() == timedelta(0):
            return datetime.isoformat(self.replace(tzinfo=None), " ")
        return datetime.isoformat(self, " ")


@dataclass(frozen=True, slots=True, order=True)
class DataInterval:
    """The span of time whose data a run is about: `start` is in it, `end` is not. Both are kept in UTC.

    In UTC, because Python compares two instants of one time zone by their clock faces, and those of the hour that
    autumn repeats would be equal.

    Raises:
        ScheduleError: An end is not aware, or `end` is before `start`.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value.tzinfo is None:
                raise ScheduleError(f"the {name} {value} of a data interval has no time zone; give it one.")
            object.__setattr__(self, name, utc(value))
        if self.end < self.start:
            raise ScheduleError(f"a data interval cannot end ({self.end}) before it starts ({self.start}).")

    @property
    def length(self) -> timedelta:
        """The time from start to end."""
        return self.end - self.start

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end or self.start == instant

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}"


def plain(value: datetime) -> datetime:
    """Return an instant of a subclass, as those of pendulum and pandas, as a plain `datetime` with the same zone.

    Their arithmetic differs from that of `datetime`, and databases do not know them.

    Raises:
        ScheduleError: It is no instant, as NaT.
    """
    if type(value) is datetime:
        return value
    try:
        date_of = (value.year, value.month, value.day)
        time_of = (value.hour, value.minute, value.second, value.microsecond)
        return datetime(*date_of, *time_of, tzinfo=value.tzinfo, fold=value.fold)
    except (TypeError, ValueError):
        raise ScheduleError(f"{value!r} is not an instant; give a datetime.") from None


def utc(instant: datetime) -> datetime:
    """Return an aware instant of any kind as a plain `datetime` in UTC."""
    return plain(instant).astimezone(UTC)


def plain_length(length: timedelta) -> timedelta:
    """Return a duration of a subclass, as those of pendulum and pandas, as a plain `timedelta`."""
    return length if type(length) is timedelta else timedelta(seconds=length.total_seconds())


def zone_name(zone: tzinfo | str) -> str | None:
    """Return the name of a time zone, None for one that has none, as a fixed offset from UTC."""
    if isinstance(zone, str):
        return zone
    if zone.utcoffset(None) == timedelta(0):
        return "UTC"
    for attribute in ("key", "zone"):  # of zoneinfo and pendulum, of pytz
        name = getattr(zone, attribute, None)
        if isinstance(name, str) and _is_zone(name):
            return name
    return None


def _is_zone(name: str) -> bool:
    try:
        zone_of(name)
    except ScheduleError:
        return False
    return True


@lru_cache
def zone_of(name: str) -> ZoneInfo:
    """Return the time zone of a name such as `Europe/Berlin`.

    Raises:
        ScheduleError: There is none.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise ScheduleError(f"there is no time zone {name!r}; write a name like 'UTC' or 'Europe/Berlin'.") from error


def instant_of(value: datetime | date | str, timezone: str = "UTC", *, what: str = "date") -> datetime:
    """Return a date, instant or ISO text as an aware instant in UTC; what has no time zone is read in `timezone`.

    Raises:
        ScheduleError: The text is not a date; the error says what it should have been.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ScheduleError(f"{value!r} is not a {what}; write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS.") from None
    if not isinstance(value, date):
        raise ScheduleError(f"{value!r} is not a {what}; give a datetime, a date or a text like 2016-02-22.")
    day = (value.year, value.month, value.day)
    value = plain(value) if isinstance(value, datetime) else datetime(*day)  # noqa: DTZ001 - its zone comes next
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone_of(timezone))
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ScheduleError(f"{value} is not a {what} that calendars of computers know.") from None
