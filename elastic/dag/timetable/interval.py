"""Instants, logical dates and data intervals."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from elastic.dag.errors import ScheduleError


class LogicalDate(datetime):
    """Start of a run's data interval: an aware datetime in the time zone of its DAG.

    Its string form omits an offset of zero, as in `2014-09-01 00:00:00`.
    """

    @classmethod
    def of(cls, instant: datetime, zone: tzinfo = UTC) -> Self:
        """Return an aware datetime as a logical date in a time zone."""
        local = utc(instant).astimezone(zone)
        return cls.combine(local.date(), local.timetz()).replace(fold=local.fold)

    def __str__(self) -> str:
        if self.utcoffset() == timedelta(0):
            return datetime.isoformat(self.replace(tzinfo=None), " ")
        return datetime.isoformat(self, " ")


@dataclass(frozen=True, slots=True, order=True)
class DataInterval:
    """Time span of the data of a run, including `start` and excluding `end`. Both are in UTC.

    Python compares two datetimes of one time zone by their wall-clock times, so those of the repeated hour in autumn
    would be equal. UTC avoids that.

    Raises:
        ScheduleError: `start` or `end` is not aware, or `end` is before `start`.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            value = getattr(self, name)
            if value.tzinfo is None:
                raise ScheduleError(f"data interval: {name} {value} must have a time zone. Add one.")
            object.__setattr__(self, name, utc(value))
        if self.end < self.start:
            raise ScheduleError(f"data interval: end {self.end} must not be before start {self.start}.")

    @property
    def length(self) -> timedelta:
        """Time from start to end."""
        return self.end - self.start

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end or self.start == instant

    def __str__(self) -> str:
        return f"{self.start.isoformat()} to {self.end.isoformat()}"


def plain(value: datetime) -> datetime:
    """Convert a subclass of `datetime`, as in pendulum and pandas, to a plain `datetime` in the same time zone.

    The arithmetic of such subclasses differs from that of `datetime`, and database drivers do not support them.

    Raises:
        ScheduleError: The value is not an instant, such as NaT.
    """
    if type(value) is datetime:
        return value
    try:
        date_of = (value.year, value.month, value.day)
        time_of = (value.hour, value.minute, value.second, value.microsecond)
        return datetime(*date_of, *time_of, tzinfo=value.tzinfo, fold=value.fold)
    except (TypeError, ValueError):
        raise ScheduleError(f"{value!r} is not an instant. Pass a datetime.") from None


def utc(instant: datetime) -> datetime:
    """Convert an aware datetime of any class to a plain `datetime` in UTC."""
    return plain(instant).astimezone(UTC)


def plain_length(length: timedelta) -> timedelta:
    """Convert a subclass of `timedelta`, as in pendulum and pandas, to a plain `timedelta`."""
    return length if type(length) is timedelta else timedelta(seconds=length.total_seconds())


def zone_name(zone: tzinfo | str) -> str | None:
    """Return the name of a time zone; None if it has none, such as a fixed offset from UTC."""
    if isinstance(zone, str):
        return zone
    if zone.utcoffset(None) == timedelta(0):
        return "UTC"
    for attribute in ("key", "zone"):  # zoneinfo and pendulum, pytz
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
    """Return the time zone with a name such as `Europe/Berlin`.

    Raises:
        ScheduleError: There is no such time zone.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError, TypeError) as error:
        raise ScheduleError(f"there is no time zone {name!r}. Use a name like 'UTC' or 'Europe/Berlin'.") from error


def instant_of(value: datetime | date | str, timezone: str = "UTC", *, what: str = "date") -> datetime:
    """Convert a date, a datetime or an ISO string to an aware datetime in UTC.

    Args:
        value: The date. Without a time zone, it is in `timezone`.
        timezone: Name of the default time zone.
        what: Name of the value, for the error message.

    Raises:
        ScheduleError: The value is not a date.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ScheduleError(f"invalid {what} {value!r}. Use YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS.") from None
    if not isinstance(value, date):
        raise ScheduleError(f"invalid {what} {value!r}. Pass a datetime, a date or a string like 2016-02-22.")
    day = (value.year, value.month, value.day)
    value = plain(value) if isinstance(value, datetime) else datetime(*day)  # noqa: DTZ001 - the zone follows
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone_of(timezone))
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ScheduleError(f"{what} {value} is out of range. Use a year from 1 to 9999.") from None
