"""Timeperiods: short names of runs, `2016`, `201602`, `20160222`, `2016022214`.

A timeperiod is the start of the interval on the clock of the schedule, as long as the interval needs. The second of
the two equal hours of autumn has a `b` behind it.
"""

import re
from datetime import UTC, datetime, timedelta

from elastic.dag.errors import ScheduleError
from elastic.dag.timetable.interval import DataInterval, zone_of
from elastic.dag.timetable.schedule import Schedule

#: Digits of the text, and what the clock says to them.
_FORMATS = {4: "%Y", 6: "%Y%m", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S", 20: "%Y%m%d%H%M%S%f"}

#: The shortest interval that a text of so many digits names. The shortest day has 23 hours.
_SHORTEST = {
    4: timedelta(days=365),
    6: timedelta(days=28),
    8: timedelta(hours=23),
    10: timedelta(hours=1),
    12: timedelta(minutes=1),
    14: timedelta(seconds=1),
}

_TEXT = re.compile(r"(\d{4}(?:\d\d){0,5}(?:\d{6})?)(b?)", re.ASCII)


def timeperiod_of(logical_date: datetime, schedule: Schedule) -> str:
    """Return the name of the run of a logical date.

    A scheduled run is named by as many digits as its interval is long: a year 4, a month 6, days 8, hours 10. A run
    that somebody asked for at another moment is named by as many digits as the moment needs, at least 8.
    """
    local = logical_date.astimezone(zone_of(schedule.timezone))
    interval = schedule.interval_of(logical_date)
    digits = _digits_of(interval.length) if interval.length and schedule.is_slot(logical_date) else _exact(local)
    if digits >= 10 and local.fold:
        return local.strftime(_FORMATS[digits]) + "b"
    return local.strftime(_FORMATS[digits]).zfill(digits)


def interval_of_timeperiod(text: str, timezone: str = "UTC") -> DataInterval:
    """Return the span of time that a timeperiod names.

    Raises:
        ScheduleError: It names none.
    """
    match = _TEXT.fullmatch(text)
    digits = len(match[1]) if match else 0
    if not match or digits not in _FORMATS or digits == 20:
        raise _unknown(text)
    try:
        start = datetime.strptime(match[1], _FORMATS[digits]).replace(fold=1 if match[2] else 0)  # noqa: DTZ007
        end = _after(start, digits)
        zone = zone_of(timezone)
        if digits >= 10:
            first = start.replace(tzinfo=zone).astimezone(UTC)
            return DataInterval(first, first + (end - start))
        return DataInterval(start.replace(tzinfo=zone), end.replace(tzinfo=zone))
    except (ValueError, OverflowError):
        raise _unknown(text) from None


def logical_date_of(text: str, schedule: Schedule) -> datetime:
    """Return the logical date of the run that a timeperiod names: the first slot in its span, else its start."""
    span = interval_of_timeperiod(text, schedule.timezone)
    slot = schedule.first_slot(span.start)
    return slot if slot is not None and slot < span.end else span.start


def _unknown(text: str) -> ScheduleError:
    return ScheduleError(f"{text!r} is not a timeperiod; write 2016, 201602, 20160222 or 2016022214.")


def _digits_of(length: timedelta) -> int:
    return next((digits for digits, shortest in _SHORTEST.items() if length >= shortest), 20)


def _exact(local: datetime) -> int:
    clock = (local.microsecond, local.second, local.minute, local.hour)
    return next((digits for part, digits in zip(clock, (20, 14, 12, 10), strict=True) if part), 8)


def _after(start: datetime, digits: int) -> datetime:
    if digits == 4:
        return start.replace(year=start.year + 1)
    if digits == 6:
        return (start.replace(day=1) + timedelta(days=31)).replace(day=1)
    return start + {8: timedelta(days=1)}.get(digits, _SHORTEST.get(digits, timedelta(days=1)))
