"""Readable times and durations in a time zone."""

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


def zone_of(name: str | None) -> dt.tzinfo | None:
    """Return a time zone by its name, or None if the name is unknown."""
    if not name or len(name) > 64:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local_time(moment: dt.datetime, zone: dt.tzinfo) -> dt.datetime:
    """Return a time in a zone, or in UTC if the zone moves it out of the supported years."""
    try:
        return moment.astimezone(zone)
    except OverflowError:
        return moment.astimezone(dt.UTC)


def full_time(moment: dt.datetime, zone: dt.tzinfo) -> str:
    """Return a time with date and seconds, such as `2026-11-29 02:00:03`."""
    return f"{local_time(moment, zone):%Y-%m-%d %H:%M:%S}"


def short_time(moment: dt.datetime, zone: dt.tzinfo, now: dt.datetime) -> str:
    """Return a time without the parts that it shares with now: `02:00`, `28 Nov 02:00` or `2025-11-28 02:00`."""
    here, today = local_time(moment, zone), now.astimezone(zone)
    if here.date() == today.date():
        return f"{here:%H:%M}"
    return f"{here.day} {here:%b %H:%M}" if here.year == today.year else f"{here:%Y-%m-%d %H:%M}"


def relative_time(moment: dt.datetime, now: dt.datetime) -> str:
    """Return the distance of a time from now: `in 9 h`, `3 min ago`, `now`."""
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {rough_duration(seconds)}" if seconds > 0 else f"{rough_duration(-seconds)} ago"


def rough_duration(seconds: float) -> str:
    """Return a duration in its largest unit, or in two units below ten of the largest: `58 min`, `1 d 14 h`."""
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    for unit, length, smaller, part in (
        ("d", _DAY, "h", _HOUR),
        ("h", _HOUR, "min", _MINUTE),
        ("min", _MINUTE, "s", 1),
    ):
        if seconds >= length:
            count, rest = divmod(int(seconds), length)
            return f"{count} {unit}" if count >= 10 or rest < part else f"{count} {unit} {rest // part} {smaller}"
    return f"{int(seconds)} s"


def duration(seconds: float | None) -> str:
    """Return a measured duration: `0.42 s`, `41 s`, `4 min 8 s`, `2 h 5 min`; `-` for None."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"
