"""Timeperiods: short names of runs, `2016`, `201602`, `20160222`, `2016022214`.

A timeperiod is the start of the data interval in the time zone of the schedule, with as many digits as the interval
needs. The suffix `b` marks the second pass of the repeated hour in autumn.
"""

import re
from datetime import UTC, datetime, timedelta

from elastic.dag.errors import ScheduleError
from elastic.dag.timetable.interval import DataInterval, zone_of
from elastic.dag.timetable.schedule import Schedule

#: strftime format by number of digits.
_FORMATS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 20: "%Y%m%d%H%M%S%f"}

#: Minimum length of an interval by number of digits. The shortest day has 23 hours.
_MIN_LENGTH = {
    4: timedelta(days=365),
    6: timedelta(days=28),
    8: timedelta(hours=23),
    10: timedelta(hours=1),
    12: timedelta(minutes=1),
    14: timedelta(seconds=1),
}

_TEXT = re.compile(r"(\d{4}(?:\d\d){0,5}(?:\d{6})?)(b?)", re.ASCII)


def timeperiod_of(logical_date: datetime, schedule: Schedule) -> str:
    """Return the timeperiod of a run.

    The length of the interval of a scheduled run determines the number of digits: years 4, months 6, days 8, hours 10.
    The timeperiod of a manual run between slots has as many digits as its instant needs, at least 8.
    """
    local = logical_date.astimezone(zone_of(schedule.timezone))
    interval = schedule.interval_of(logical_date)
    digits = _digits_of(interval.length) if interval.length and schedule.is_slot(logical_date) else _exact(local)
    if digits >= 10 and local.fold:
        return local.strftime(_FORMATS[digits]) + "b"
    return local.strftime(_FORMATS[digits]).zfill(digits)


def interval_of_timeperiod(text: str, timezone: str = "UTC") -> DataInterval:
    """Return the time span of a timeperiod.

    Raises:
        ScheduleError: The timeperiod is invalid.
    """
    match = _TEXT.fullmatch(text)
    digits = len(match[1]) if match else 0
    if not match or digits not in _FORMATS or digits == 20:
        raise _invalid(text)
    try:
        start = datetime.strptime(match[1], _FORMATS[digits]).replace(fold=1 if match[2] else 0)  # noqa: DTZ007
        end = _after(start, digits)
        zone = zone_of(timezone)
        if digits >= 10:
            first = start.replace(tzinfo=zone).astimezone(UTC)
            return DataInterval(first, first + (end - start))
        return DataInterval(start.replace(tzinfo=zone), end.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise _invalid(text) from None


def logical_date_of(text: str, schedule: Schedule) -> datetime:
    """Return the logical date of the run of a timeperiod: the first slot in its time span, else its start."""
    span = interval_of_timeperiod(text, schedule.timezone)
    slot = schedule.first_slot(span.start)
    return slot if slot is not None and slot < span.end else span.start


def _invalid(text: str) -> ScheduleError:
    return ScheduleError(f"invalid timeperiod {text!r}. Use 2016, 201602, 20160222 or 2016022214.")


def _digits_of(length: timedelta) -> int:
    return next((digits for digits, minimum in _MIN_LENGTH.items() if length >= minimum), 20)


def _exact(local: datetime) -> int:
    clock = (local.microsecond, local.second, local.minute, local.hour)
    return next((digits for part, digits in zip(clock, (20, 14, 12, 10), strict=True) if part), 8)


def _after(start: datetime, digits: int) -> datetime:
    if digits == 4:
        return start.replace(year=start.year + 1)
    if digits == 6:
        return (start.replace(day=1) + timedelta(days=31)).replace(day=1)
    return start + {8: timedelta(days=1)}.get(digits, _MIN_LENGTH.get(digits, timedelta(days=1)))
